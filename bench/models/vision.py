"""torchvision's models, the smallest of each of timm's families, and more of timm's variants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest import mock

from bench.models.case import Case, Library

__all__ = ["TIMM", "TORCHVISION", "VARIANTS"]

Shape = tuple[int, ...]

#: The smallest variant of each of timm's model families.
FAMILIES = """
beit_base_patch16_224 halonet_h1 test_byobnet cait_xxs24_224 coat_tiny convit_tiny convmixer_768_32 test_convnext
cpubone_nano crossvit_tiny_240 csatv2 cs3darknet_focus_s cspnext_tiny davit_tiny deepseek_vit_412m
deit_tiny_patch16_224 densenet121 dla46x_c dpn48b edgenext_xx_small efficientformer_l1 efficientformerv2_s0
test_efficientnet efficientvim_m1 efficientvit_b0 efficientvit_m0 vit_tiny_patch16_dinov3_qkvb fasternet_t0 fastvit_t8
focalnet_tiny_srf gcvit_xxtiny gemma4_vit_167m ghostnet_050 hardcorenas_b hgnetv2_b0 hiera_tiny_224 sam2_hiera_tiny
hrnet_w18_small iformer_t inception_next_atto inception_resnet_v2 inception_v3 inception_v4 lcnetv2_small levit_128s
lowformer_b0 test_mambaout test_coatnet poolformerv2_s12 gmlp_ti16_224 mobilenetv3_small_050 mobilenetv5_base
mobilevit_xxs mvitv2_tiny naflexvit_so150m2_patch16_reg1_gap nasnetalarge nest_tiny nextvit_small test_nfnet
pit_ti_224 pnasnet5large pvt_v2_b0 qwen3_vit_88m rdnet_tiny regnetx_002 repghostnet_050 repvit_m1 res2next50
resnest14d test_resnet resnetv2_18 rexnet_100 selecsls42 legacy_seresnet18 sequencer2d_s shvit_s1 skresnet18
starnet_s050 swiftformer_xs swin_tiny_patch4_window7_224 swinv2_tiny_window8_256 swinv2_cr_tiny_224 tiny_vit_5m_224
tnt_s_legacy_patch16_224 tresnet_m twins_svt_small vgg11 visformer_tiny test_vit vit_tiny_r_s16_p8_224 test_vit_relpos
samvit_base_patch16_224 vitamin_small_224 volo_d1_224 ese_vovnet19b_slim_dw legacy_xception xception41p
xcit_nano_12_p8_224
""".split()  # noqa: SIM905  (reads better as text)

#: Variants that differ from those in their blocks.
MORE = """
resnet10t resnet26d resnext50_32x4d seresnext26t_32x4d ecaresnet26t gcresnext26ts lambda_resnet26t botnet26t_256
bat_resnext26ts eca_botnext26ts_256 halonet26t lambda_resnet26rpt_256 gernet_s repvgg_a0 mobileone_s0 resnetblur50
resnetaa50 skresnet34 resnest26d res2net50_26w_4s dla34 dla60_res2net cspdarknet53 cspresnet50 darknetaa53
ese_vovnet19b_dw tinynet_e lcnet_035 regnetz_b16 regnety_002 nf_regnet_b0 nf_resnet26 eca_nfnet_l0 convnextv2_atto
coatnet_pico_rw_224 maxvit_rmlp_pico_rw_256 maxxvit_rmlp_nano_rw_256 coat_lite_tiny convformer_s18 caformer_s18
mixer_s32_224 resmlp_12_224 twins_pcpvt_small levit_conv_128s mobilevitv2_050 crossvit_9_240 pit_s_distilled_224
deit3_small_patch16_224 eva02_tiny_patch14_224 flexivit_small swin_s3_tiny_224 vit_relpos_small_patch16_224
xcit_tiny_12_p16_224 focalnet_tiny_lrf hgnet_tiny efficientnet_es ghostnetv2_100 mixnet_s xception71 mambaout_femto
repvit_m0_9 efficientvit_b1 gmixer_24_224 poolformer_s12 mobilenetv4_conv_small mobilenetv4_hybrid_medium
cs3se_edgenet_x fastvit_sa12 inception_next_tiny densenetblur121d resnetv2_50d_evos vit_base_patch32_clip_224
efficientnet_lite0 mobilenetv2_050 mnasnet_small tf_efficientnetv2_b0 fbnetc_100 spnasnet_100
""".split()  # noqa: SIM905  (reads better as text)

#: One of each kind first, so that a run that is cut short has seen them all.
FIRST = """
resnet18 mobilenet_v3_small swin_t densenet121 squeezenet1_1 alexnet vgg11_bn googlenet inception_v3 mnasnet0_5
mobilenet_v2 shufflenet_v2_x0_5 efficientnet_b0 efficientnet_v2_s regnet_y_400mf regnet_x_400mf convnext_tiny vit_b_32
swin_v2_t maxvit_t resnext50_32x4d wide_resnet50_2 deeplabv3_mobilenet_v3_large fcn_resnet50
lraspp_mobilenet_v3_large fasterrcnn_resnet50_fpn fasterrcnn_mobilenet_v3_large_320_fpn fasterrcnn_resnet50_fpn_v2
fcos_resnet50_fpn retinanet_resnet50_fpn retinanet_resnet50_fpn_v2 keypointrcnn_resnet50_fpn maskrcnn_resnet50_fpn
ssd300_vgg16 ssdlite320_mobilenet_v3_large r3d_18 mc3_18 r2plus1d_18 s3d swin3d_t mvit_v1_b mvit_v2_s
""".split()  # noqa: SIM905  (reads better as text)


def torchvision_names() -> list[str]:
    """All of torchvision's classification, segmentation, detection and video models, one of each kind first."""
    import torchvision

    names = [n for n in torchvision.models.list_models() if not n.startswith("quantized") and "raft" not in n]
    return sorted(names, key=lambda n: (FIRST.index(n) if n in FIRST else len(FIRST), n))


def torchvision_cases(name: str) -> Iterator[Case]:
    """A model (a detector's backbone) and the smallest sensible input."""
    from torchvision.models.video import mvit as video_transformers

    (video, size), options = _torchvision_input(name)
    with mock.patch.object(video_transformers, "_mvit", partial(_small_mvit, video_transformers._mvit)):
        model = _torchvision_model(name, options)
    yield Case(model, (3, *video, size, size), own=lambda: Case(_torchvision_model(name, {}), _own_shape(name)))


def _torchvision_model(name: str, options: dict[str, Any]) -> Any:
    import torchvision

    kind = torchvision.models.get_model_builder(name).__module__
    options = dict(options)
    if "segmentation" in kind or "detection" in kind:
        options["weights_backbone"] = None
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False
    model = torchvision.models.get_model(name, weights=None, **options)
    return model.backbone if "detection" in kind else model


def _own_shape(name: str) -> Shape:
    """What a model was trained on, and of several sizes the smallest: detectors are told theirs by their names."""
    import torchvision

    found = [weights.transforms() for weights in torchvision.models.get_model_weights(name)]
    crops = [side[-1] if isinstance(side, list | tuple) else side for one in found if (side := _side(one))]
    size = min(crops) if crops else 300 if "300" in name else 320 if "320" in name else 800
    frames = {"mvit": 16, "swin3d": 32, "s3d": 16, "r3d": 16, "mc3": 16, "r2plus1d": 16}
    count = next((n for prefix, n in frames.items() if name.startswith(prefix)), 0)
    return (3, count, size, size) if count else (3, size, size)


def _side(transforms: Any) -> Any:
    return getattr(transforms, "crop_size", None) or getattr(transforms, "resize_size", None)


def _small_mvit(build: Callable[..., Any], **settings: Any) -> Any:
    """MViT for a small video: its builders fix the size that its positions are learned for."""
    return build(**{**settings, "spatial_size": (64, 64), "temporal_size": 8})


def _torchvision_input(name: str) -> tuple[tuple[Shape, int], dict[str, Any]]:
    """Frames, side, and arguments of the model."""
    if name.startswith("mvit"):
        return ((8,), 64), {}
    if name.startswith("vit"):
        size = 56 if name.endswith("14") else 96 if name.endswith("32") else 64
        return ((), size), {"image_size": size}
    frames = {"r3d_18": (6, 48), "mc3_18": (6, 48), "r2plus1d_18": (6, 48), "s3d": (13, 209), "swin3d": (8, 64)}
    for prefix, (count, size) in frames.items():
        if name.startswith(prefix):
            return ((count,), size), {}
    sizes = {"maxvit": 224, "inception": 111, "ssd300": 300, "ssdlite": 128, "vgg": 64, "alexnet": 95}
    for prefix, size in sizes.items():
        if name.startswith(prefix):
            return ((), size), {}
    return ((), 128 if any(k in name for k in ("rcnn", "retinanet", "fcos")) else 96), {}


def timm_cases(name: str) -> Iterator[Case]:
    """A model at sizes from small to its own, until one is accepted."""
    import timm

    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    native = config.input_size if config is not None else (3, 224, 224)
    for size in (112, 128, native[-1]):
        if size > native[-1] or (size < native[-1] <= 160):
            continue
        try:
            fixed = config is not None and config.fixed_input_size and size != native[-1]
            made = timm.create_model(name, **({"img_size": size} if fixed else {}))
            yield Case(made, (3, size, size), own=lambda: Case(timm.create_model(name), (3, native[-1], native[-1])))
        except (TypeError, AssertionError, ValueError, RuntimeError):
            if size == native[-1]:
                raise


TORCHVISION = Library(
    "torchvision",
    torchvision_names,
    torchvision_cases,
    44,
    "All of its classification, segmentation and video models, and the backbones of its detectors.",
)
TIMM = Library("timm", lambda: FAMILIES, timm_cases, 44, "The smallest of each family.")
VARIANTS = Library("timm, more variants", lambda: MORE, timm_cases, note="Others of the families above.")
