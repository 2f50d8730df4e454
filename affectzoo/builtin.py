"""The core's own plugin: what ships with affectzoo comes through the same door as everybody's. Imports no torch."""

from __future__ import annotations

from affectzoo.registry import DatasetSpec, DetectorSpec, ModelSpec, TemporalSpec, hookimpl

_LICENCE = "Apache-2.0"


@hookimpl
def affectzoo_temporals() -> list[TemporalSpec]:
    """Temporal encoders."""
    return [
        TemporalSpec(
            name="tcn",
            summary="dilated residual temporal convolutions",
            licence=_LICENCE,
            paper="Bai et al. 2018, arXiv 1803.01271",
            target="affectzoo.model.temporal:TCN",
        ),
        TemporalSpec(
            name="bilstm",
            summary="bidirectional LSTM",
            licence=_LICENCE,
            paper="Graves and Schmidhuber 2005",
            target="affectzoo.model.temporal:BiLSTM",
        ),
        TemporalSpec(
            name="gru",
            summary="gated recurrent unit, one or two directions",
            licence=_LICENCE,
            paper="Cho et al. 2014, arXiv 1406.1078",
            target="affectzoo.model.temporal:GRU",
        ),
    ]


@hookimpl
def affectzoo_detectors() -> list[DetectorSpec]:
    """Face detectors."""
    return [
        DetectorSpec(
            name="yunet",
            summary="YuNet through OpenCV; its 0.2 MB of weights come from the Hub once",
            licence=_LICENCE,
            paper="Wu et al. 2023, YuNet: A Tiny Millisecond-level Face Detector",
            target="affectzoo.media.detectors.yunet:YuNetDetector",
        ),
        DetectorSpec(
            name="haar",
            summary="the cascade inside OpenCV 4: needs no download, misses turned faces",
            licence=_LICENCE,
            paper="Viola and Jones 2001",
            target="affectzoo.media.detectors.haar:HaarDetector",
        ),
        DetectorSpec(
            name="full-frame",
            summary="takes the whole frame for one face: for clips that are already cropped",
            licence=_LICENCE,
            target="affectzoo.media.detectors.full_frame:FullFrameDetector",
        ),
    ]


@hookimpl
def affectzoo_datasets() -> list[DatasetSpec]:
    """Datasets that need no licence: rendered ones, a folder of one's own, and features of any other."""
    return [
        DatasetSpec(
            name="rendered",
            summary="drawn talking faces with a synthetic voice; tasks affect, severity, pain, identity",
            licence=_LICENCE,
            target="affectzoo.data.rendered_windows:build",
        ),
        DatasetSpec(
            name="av-folder",
            summary="a folder of videos or sounds and metadata.csv, labels of whole files or along time",
            licence=_LICENCE,
            target="affectzoo.data.folder:AvFolder",
        ),
        DatasetSpec(
            name="features",
            summary="backbone features that `affectzoo features` wrote, for training fusions and heads",
            licence=_LICENCE,
            target="affectzoo.data.feature_store:build",
        ),
    ]


@hookimpl
def affectzoo_models() -> list[ModelSpec]:
    """The zoo: one model for each card that ships with the package."""
    from affectzoo.cards.bundled import bundled_cards

    return [card.to_spec() for card in bundled_cards()]
