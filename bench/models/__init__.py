"""Models of many libraries against autograd: `python -m bench.models [--only LIBRARY/NAME ...]`.

| module | does |
|---|---|
| `vision`, `images`, `texts`, `diffusion`, `sounds` | the models, library by library |
| `libraries`, `install` | all of them by name; the packages that they need |
| `comparing`, `replaying` | one model: captured, timed, analysed, compared |
| `running`, `page` | a process that may die; `docs/models.md` |
"""
