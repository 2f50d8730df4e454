"""DMSN for affectzoo: what this plugin provides. No torch is imported here."""

from __future__ import annotations

from affectzoo import BackboneSpec, BlockSpec, hookimpl

_DMSN = "de Melo et al. 2022, Facial Expression Analysis Using Decomposed Multiscale Spatiotemporal Networks, arXiv:2203.11111"
_MSN = "de Melo, Granger and Lopez 2020, MDN and MSN: spatiotemporal networks for depression from faces"
_TRAN = "Tran et al. 2018, A Closer Look at Spatiotemporal Convolutions for Action Recognition, arXiv:1711.11248"
_LICENCE = "Apache-2.0"


def _block(name: str, summary: str, paper: str, target: str) -> BlockSpec:
    return BlockSpec(name=name, summary=summary, paper=paper, licence=_LICENCE, target=f"affectzoo_dmsn.{target}")


def _network(name: str, summary: str, paper: str, target: str) -> BackboneSpec:
    return BackboneSpec(
        name=name, modality="visual", summary=summary, paper=paper, licence=_LICENCE, target=f"affectzoo_dmsn.{target}"
    )


@hookimpl
def affectzoo_blocks() -> list[BlockSpec]:
    """The three decomposed blocks, and three to compare them with."""
    return [
        _block("dmsn-a", "several temporal ranges after one spatial convolution (reconstruction)", _DMSN, "blocks:DMSNA"),
        _block("dmsn-b", "several ranges in space and time together, decomposed (reconstruction)", _DMSN, "blocks:DMSNB"),
        _block("dmsn-c", "several spatial sizes, then one temporal convolution (reconstruction)", _DMSN, "blocks:DMSNC"),
        _block("basic3d", "two full 3 x 3 x 3 convolutions: the block of R3D-18", _TRAN, "comparison:Basic3D"),
        _block("r2plus1d", "two 3 x 3 x 3 convolutions, each split into space and time", _TRAN, "comparison:R2Plus1D"),
        _block("msn", "full 3D convolutions of several sizes side by side: what DMSN decomposes", _MSN, "comparison:MSN"),
    ]


@hookimpl
def affectzoo_backbones() -> list[BackboneSpec]:
    """The trunk for any block, and the presets."""
    return [
        _network("dmsn", "3D residual trunk for any block: dmsn-a, dmsn-b, dmsn-c, basic3d, your own", _DMSN, "trunk:DMSN"),
        _network("dmsn-a-50", "DMSN-A, 20.3 M parameters: temporal ranges (reconstruction)", _DMSN, "presets:DMSNA50"),
        _network("dmsn-b-50", "DMSN-B, 22.5 M parameters: ranges in space and time (reconstruction)", _DMSN, "presets:DMSNB50"),
        _network("dmsn-c-50", "DMSN-C, 22.5 M parameters: spatial sizes (reconstruction)", _DMSN, "presets:DMSNC50"),
        _network(
            "dmsn-a-18", "a small DMSN-A of our own, 2.3 M parameters, for machines without a GPU", _DMSN, "presets:DMSNA18"
        ),
        _network(
            "dmsn-b-18", "a small DMSN-B of our own, 2.6 M parameters, for machines without a GPU", _DMSN, "presets:DMSNB18"
        ),
        _network(
            "dmsn-c-18", "a small DMSN-C of our own, 2.6 M parameters, for machines without a GPU", _DMSN, "presets:DMSNC18"
        ),
        _network("msn-69", "MSN-69, 76.9 M parameters: the undecomposed network of the same authors", _MSN, "presets:MSN69"),
    ]
