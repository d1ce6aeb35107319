"""Random resampling layers."""

from tests.reference.resize import resized
from tests.strategies.builder import Builder, UnfitError, is_image, maker


@maker("resize", "resize")
def make_resize(b: Builder, op: str) -> None:
    """Every mode and coordinate rule; scales are binary fractions, so that floor(n*scale) is exact."""
    x = b.pick(is_image)
    ndim = len(b.shapes[x]) - 1

    def draw() -> dict:
        mode = b.choice(["nearest", "linear", "linear", "cubic", "area"])
        attrs = b.optional(0.8, mode=mode) if mode == "nearest" else {"mode": mode}
        if b.chance(0.6):
            attrs["output_size"] = b.spatial(1, 8, ndim)
        else:
            scales = [0.5, 0.75, 1.5, 2, 2.5, 3]
            attrs["scale"] = b.choice(scales) if b.chance(0.5) else [b.choice(scales) for _ in range(ndim)]
        antialias = mode in ("linear", "cubic") and b.chance(0.25)
        if antialias:
            attrs |= {"antialias": True, **b.optional(0.6, coordinates=b.choice(["half_pixel", "align_corners"]))}
        elif mode != "area":
            rules = ["half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel", "half_pixel_symmetric"]
            attrs |= b.optional(0.7, coordinates=b.choice([*rules, "tf_half_pixel_for_nn", "tf_crop_and_resize"]))
        if attrs.get("coordinates") == "tf_crop_and_resize":
            attrs |= b.optional(0.8, roi=[[b.integer(-2, 8) / 8, b.integer(0, 10) / 8] for _ in range(ndim)])
        if mode == "cubic" and not antialias:
            attrs |= b.optional(0.3, cubic_coeff_a=b.choice([-0.5, -1.0, 0.0]), exclude_outside=b.chance(0.5))
        if mode == "nearest":
            attrs |= b.optional(0.7, rounding=b.choice(["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]))
        if b.chance(0.2) and mode != "area" and attrs.get("coordinates") != "align_corners":
            attrs["step"] = [[b.integer(1, 5), b.integer(1, 5)] for _ in range(ndim)]
        shape = resized(attrs, b.shapes[x][1:])
        if min(shape) < 1:
            raise UnfitError
        return attrs

    b.attempt(op, x, draw)
