"""Fusion heads for affectzoo: what this plugin provides. No torch is imported here."""

from __future__ import annotations

from affectzoo import FusionSpec, ImporterSpec, hookimpl


@hookimpl
def affectzoo_fusions() -> list[FusionSpec]:
    """The six fusions of this distribution, from the simplest to the most elaborate."""
    return [
        FusionSpec(
            name="concat",
            summary="Features side by side, with an optional linear projection: the baseline of every fusion",
            licence="Apache-2.0",
            target="affectzoo_fusion.concat:Concat",
        ),
        FusionSpec(
            name="self-attention",
            summary="One transformer layer over time on the concatenated modalities",
            paper="Vaswani et al. 2017, Attention Is All You Need, arXiv:1706.03762",
            licence="Apache-2.0",
            target="affectzoo_fusion.self_attention:SelfAttention",
        ),
        FusionSpec(
            name="leader-follower",
            summary="Modalities attend to each other at every step; the leader's features stand beside the result",
            paper="Zhang et al. 2021, Continuous Emotion Recognition with Audio-visual Leader-follower Attentive Fusion, "
            "arXiv:2107.01175",
            licence="Apache-2.0",
            target="affectzoo_fusion.leader_follower:LeaderFollower",
        ),
        FusionSpec(
            name="cross-attention",
            summary="Vanilla cross-attention: each of two modalities is weighted by its correlation with the other",
            paper="Praveen et al. 2021, Cross Attentional Audio-Visual Fusion for Dimensional Emotion Recognition, "
            "arXiv:2111.05222",
            licence="Apache-2.0",
            target="affectzoo_fusion.cross_attention:CrossAttention",
        ),
        FusionSpec(
            name="joint-cross-attention",
            summary="JCA: each of two modalities attends to the joint representation of both",
            paper="Praveen et al. 2022, A Joint Cross-Attention Model for Audio-Visual Fusion in Dimensional Emotion "
            "Recognition, arXiv:2203.14779",
            licence="Apache-2.0",
            target="affectzoo_fusion.joint_cross_attention:JointCrossAttention",
        ),
        FusionSpec(
            name="recursive-joint-cross-attention",
            summary="RJCA: joint cross-attention applied again to its own attended features",
            paper="Praveen et al. 2023, Recursive Joint Attention for Audio-Visual Fusion in Regression based Emotion "
            "Recognition, arXiv:2304.07958",
            licence="Apache-2.0",
            target="affectzoo_fusion.recursive_joint_cross_attention:RecursiveJointCrossAttention",
        ),
    ]


@hookimpl
def affectzoo_importers() -> list[ImporterSpec]:
    """The released fusion of the JCA paper."""
    return [
        ImporterSpec(
            name="jca-tbiom",
            summary="JCA's released fusion: valence and arousal from audio and visual features",
            paper="Praveen et al. 2023, Audio-Visual Fusion for Emotion Recognition in the Valence-Arousal Space Using Joint "
            "Cross-Attention, IEEE T-BIOM, arXiv:2209.09068",
            licence="Apache-2.0",
            reads="jointcam_model.pt of praveena2j/Joint-Cross-Attention-for-Audio-Visual-Fusion; backbones=FOLDER adds an "
            "imported TSAV checkpoint",
            target="affectzoo_fusion.importers:convert",
        ),
    ]
