"""Models of images and volumes: segmentation, medicine, pytorchcv's, detectors, Keras."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.models.case import Case, Library

__all__ = ["KERAS", "MONAI", "PYTORCHCV", "SMP", "YOLO"]

Settings = dict[str, Any]

# segmentation_models_pytorch -----------------------------------------------------------------------------

#: Each decoder with encoders that differ.
SEGMENTATION = """
Unet/resnet18 Unet/efficientnet-b0 Unet/mit_b0 Unet/tu-convnext_atto UnetPlusPlus/resnet18 UnetPlusPlus/mobilenet_v2
FPN/densenet121 FPN/timm-skresnet18 PSPNet/resnet18 PSPNet/xception DeepLabV3/mobileone_s0 DeepLabV3Plus/resnet34
DeepLabV3Plus/timm-efficientnet-b0 Linknet/vgg11_bn Linknet/se_resnet50 MAnet/resnet18 MAnet/dpn68 PAN/resnet18
PAN/timm-efficientnet-b0 UPerNet/resnet18 UPerNet/tu-swinv2_cr_tiny_224 Segformer/mit_b0
Segformer/timm-tf_efficientnet_lite0 DPT/tu-vit_tiny_patch16_224
""".split()  # noqa: SIM905  (reads better as text)


def _segmentation(name: str) -> Iterator[Case]:
    import segmentation_models_pytorch as smp

    decoder, encoder = name.split("/")
    size = 224 if "tu-" in name and "convnext" not in name else 128 if decoder == "PAN" else 64 if "mit" in name else 96
    kwargs: Settings = {"img_size": 224} if encoder == "tu-swinv2_cr_tiny_224" else {}
    yield Case(getattr(smp, decoder)(encoder, encoder_weights=None, classes=3, **kwargs), (3, size, size))


SMP = Library("segmentation_models_pytorch", lambda: SEGMENTATION, _segmentation)

# MONAI ---------------------------------------------------------------------------------------------------

FLAT: Settings = {"spatial_dims": 2, "in_channels": 1, "out_channels": 2}
DEEP: Settings = {**FLAT, "spatial_dims": 3}
STEPS: Settings = {"channels": (4, 8, 16), "strides": (2, 2)}
NNU: Settings = {"kernel_size": [3, 3, 3], "strides": [1, 2, 2], "upsample_kernel_size": [2, 2], "filters": [4, 8, 16]}
DIFFUSION: Settings = {
    **{"channels": (8, 16), "attention_levels": (False, True), "num_res_blocks": 1, "norm_num_groups": 4},
    **{"num_head_channels": 8},
}
LATENT: Settings = {
    **{"channels": (8, 16), "attention_levels": (False, True), "num_res_blocks": 1, "norm_num_groups": 4},
    **{"latent_channels": 2},
}
#: Class (a name after "/" tells variants apart), settings, side of the input.
MEDICAL: dict[str, tuple[Settings, int]] = {
    "UNet/2d": ({**FLAT, **STEPS, "num_res_units": 2}, 32),
    "UNet/3d": ({**DEEP, **STEPS}, 16),
    "AttentionUnet/2d": ({**FLAT, **STEPS}, 32),
    "AttentionUnet/3d": ({**DEEP, **STEPS}, 16),
    "BasicUNet/3d": ({**DEEP, "features": (4, 4, 8, 8, 8, 4)}, 32),
    "BasicUNetPlusPlus/2d": ({**FLAT, "features": (4, 4, 8, 8, 8, 4)}, 32),
    "DynUNet/2d": ({**FLAT, **NNU, "res_block": True}, 32),
    "DynUNet/3d": ({**DEEP, **NNU}, 16),
    "SegResNet/2d": ({**FLAT, "init_filters": 8}, 32),
    "SegResNet/3d": ({**DEEP, "init_filters": 8}, 16),
    "SegResNetDS/3d": ({**DEEP, "init_filters": 8, "blocks_down": (1, 1, 1)}, 16),
    "VNet/3d": (DEEP, 16),
    "UNETR/3d": ({"in_channels": 1, "out_channels": 2, "img_size": 32, "feature_size": 4, "hidden_size": 24,
                  "mlp_dim": 32, "num_heads": 4}, 32),
    "SwinUNETR/2d": ({**FLAT, "feature_size": 12, "num_heads": (1, 2, 2, 2)}, 64),
    "SwinUNETR/3d": ({**DEEP, "feature_size": 12, "num_heads": (1, 2, 2, 2)}, 64),
    "DenseNet121/3d": ({**DEEP, "init_features": 8, "growth_rate": 4}, 32),
    "ResNet/3d": ({"block": "basic", "layers": [1, 1, 1, 1], "block_inplanes": [4, 8, 8, 16], "spatial_dims": 3,
                   "n_input_channels": 1}, 32),
    "SEResNet50/2d": ({"spatial_dims": 2, "in_channels": 1, "num_classes": 3}, 64),
    "HighResNet/3d": ({**DEEP, "layer_params": ({"name": "conv_0", "n_features": 4, "kernel_size": 3},
                                                {"name": "res_1", "n_features": 4, "kernels": (3, 3), "repeat": 1},
                                                {"name": "res_2", "n_features": 8, "kernels": (3, 3), "repeat": 1},
                                                {"name": "conv_1", "n_features": 8, "kernel_size": 1},
                                                {"name": "conv_2", "kernel_size": 1})}, 12),
    "EfficientNetBN/2d": ({"model_name": "efficientnet-b0", "spatial_dims": 2, "in_channels": 1, "pretrained": False},
                          64),
    "AHNet/2d": ({**FLAT, "psp_block_num": 2}, 64),
    "FlexibleUNet/2d": ({"in_channels": 3, "out_channels": 2, "backbone": "efficientnet-b0"}, 64),
    "MedNeXt/2d": ({**FLAT, "init_filters": 4, "encoder_expansion_ratio": 2, "bottleneck_expansion_ratio": 2,
                    "decoder_expansion_ratio": 2, "blocks_down": (1, 1), "blocks_bottleneck": 1,
                    "blocks_up": (1, 1)}, 32),
    "ViT/3d": ({"in_channels": 1, "img_size": (16, 16, 16), "patch_size": (8, 8, 8), "hidden_size": 24, "mlp_dim": 32,
                "num_layers": 2, "num_heads": 4}, 16),
    "AutoEncoder/2d": ({**FLAT, "channels": (4, 8, 16), "strides": (2, 2, 2)}, 32),
    "DiffusionModelUNet/2d": ({**FLAT, **DIFFUSION}, 16),
    "AutoencoderKL/3d": ({**DEEP, **LATENT}, 8),
    "VQVAE/2d": ({**FLAT, "channels": (8, 8), "num_res_channels": 8, "num_res_layers": 1, "embedding_dim": 4,
                  "num_embeddings": 8, "downsample_parameters": ((2, 4, 1, 1),) * 2,
                  "upsample_parameters": ((2, 4, 1, 1, 0),) * 2}, 32),
    "PatchDiscriminator/2d": ({"spatial_dims": 2, "in_channels": 1, "channels": 4, "num_layers_d": 3}, 64),
}  # fmt: skip


def _medical(name: str) -> Iterator[Case]:
    import torch
    from monai.networks import nets

    settings, side = MEDICAL[name]
    kind, sides = name.split("/")
    channels = 3 if kind == "FlexibleUNet" else 1
    shape = (channels, *[side] * int(sides[0]))
    model = getattr(nets, kind)(**settings)
    if kind == "DiffusionModelUNet":
        yield Case(model, {"x": shape}, {"timesteps": torch.tensor([3])}, "x")
    else:
        yield Case(model, shape)


MONAI = Library("MONAI", lambda: list(MEDICAL), _medical, note="Few channels, in two dimensions and three.")

# pytorchcv -----------------------------------------------------------------------------------------------

CV = """
airnet50_1x64d_r2 bagnet9 bam_resnet18 cbam_resnet18 channelnet condensenet74_c4_g4 darts diaresnet10 dicenet_wd2
diracnet18v2 drnc26 espnetv2_wd2 fbnet_cb fdmobilenet_w1 fishnet99 hardnet39ds ibn_resnet50 igcv3_wd4
isqrtcovresnet18 menet108_8x1_g3 msdnet22 nin_cifar10 octresnet10_ad2 peleenet preresnet10 pyramidnet110_a48_cifar10
rir_cifar10 ror3_56_cifar10 scnet50 shakedropresnet20_cifar10 shufflenet_g4_w1 sparsenet121 sqnxt23_w1
squeezeresnet_v1_1 wrn20_10_1bit_cifar10 xdensenet40_2_k24_bc_cifar10 zfnet resattnet56 resneta10
bisenet_resnet18_celebamaskhq cgnet_cityscapes dabnet_cityscapes erfnet_cityscapes fastscnn_cityscapes
lednet_cityscapes sinet_cityscapes unet_cityscapes lwopenpose2d_mobilenet_cmupan_coco
simplepose_mobile_resnet18_coco superpointnet
""".split()  # noqa: SIM905  (reads better as text)


def _cv(name: str) -> Iterator[Case]:
    from pytorchcv.model_provider import get_model

    for size in (32,) if "cifar" in name else (96, 128, 224, 256):
        settings = {"in_size": (size, size)} if any(k in name for k in ("cityscapes", "celeba", "pose")) else {}
        try:
            model = get_model(name, pretrained=False, **settings)
        except TypeError:
            model = get_model(name, pretrained=False)
        except AssertionError:  # a multiple of more than this
            continue
        yield Case(model, (1 if name == "superpointnet" else 3, size, size))


PYTORCHCV = Library("pytorchcv", lambda: CV, _cv, note="Architectures that timm has not.")

# ultralytics ---------------------------------------------------------------------------------------------

YOLOS = """
yolov3-tiny yolov5n yolov6n yolov8n yolov8n-cls yolov8n-seg yolov8n-pose yolov8n-obb yolov8n-p2 yolov8n-ghost
yolov8n-world yolov9t yolov10n yolo11n yolo11n-seg yolo12n yolo26n yolo26n-pose yolo26n-sem rtdetr-resnet50
""".split()  # noqa: SIM905  (reads better as text)


def _yolo(name: str) -> Iterator[Case]:
    from ultralytics.nn import tasks

    kinds = {"-cls": "ClassificationModel", "-seg": "SegmentationModel", "-pose": "PoseModel", "-obb": "OBBModel"}
    kinds |= {"-world": "WorldModel", "rtdetr": "RTDETRDetectionModel", "-sem": "SemanticSegmentationModel"}
    kind = next((kind for part, kind in kinds.items() if part in name), "DetectionModel")
    yield Case(getattr(tasks, kind)(f"{name}.yaml", verbose=False), (3, 96, 96))


YOLO = Library("ultralytics", lambda: YOLOS, _yolo, note="Only run here: its licence is the AGPL-3.0.")

# Keras ---------------------------------------------------------------------------------------------------

APPLICATIONS = """
VGG16 VGG19 ResNet50 ResNet101 ResNet50V2 ResNet101V2 InceptionV3 InceptionResNetV2 Xception
MobileNet MobileNetV2 MobileNetV3Small MobileNetV3Large DenseNet121 DenseNet169 DenseNet201
EfficientNetB0 EfficientNetB1 EfficientNetB2 EfficientNetB3 EfficientNetB4 EfficientNetV2B0 EfficientNetV2B1
EfficientNetV2B2 EfficientNetV2B3 EfficientNetV2S EfficientNetB5 ConvNeXtBase ConvNeXtTiny ConvNeXtSmall
""".split()  # noqa: SIM905  (reads better as text)


def _application(name: str) -> Iterator[Case]:
    import keras

    shape = (96, 96, 3)
    yield Case(getattr(keras.applications, name)(weights=None, include_top=False, input_shape=shape), shape)


KERAS = Library(
    "keras.applications",
    lambda: APPLICATIONS,
    _application,
    note="On Keras's PyTorch backend, channels last. NASNetMobile is left out: Keras refuses it there.",
)
