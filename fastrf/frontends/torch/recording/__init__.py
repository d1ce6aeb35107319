"""A module to a program by one run on tensors without data, which takes about as long as a forward pass.

| module | does |
|---|---|
| `following` | the run: which modules run, what they return, where the run ends |
| `recorder` | every operator that runs becomes a node of a graph |
| `tensors`, `constants` | tensors without data, and memory that they share; what is computed for real |
| `writing`, `expanding` | operators that write, in those that make anew; operators taken apart |
| `packed` | quantised operators, and weights that are packed for them |
| `memory` | what tensors are in the graph, and what memory that they share holds |
| `results`, `layouts` | what results look like, remembered, or known without running an operator |
| `reading` | values that control flow looks at |
| `patching` | what reaches no operator, for the thread that records |
| `attending`, `keras` | FlexAttention's functions; layers of Keras, which are called in its own way |
"""
