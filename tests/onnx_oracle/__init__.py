"""An oracle for the ONNX front-end, independent of fastrf: perturbation, gradients, ready cases, hostile files."""
