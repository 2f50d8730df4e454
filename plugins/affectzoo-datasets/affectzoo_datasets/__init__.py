"""Corpora for affectzoo: what this plugin provides. Neither torch nor datasets is imported here."""

from __future__ import annotations

from affectzoo import DatasetSpec, hookimpl

_LICENCE = "Apache-2.0"


@hookimpl
def affectzoo_datasets() -> list[DatasetSpec]:
    """One loader for each corpus; the licence is that of the loader, that of the data stands in its card."""
    return [
        DatasetSpec(
            name="aff-wild2",
            summary="in-the-wild videos, valence and arousal for every frame (ABAW challenges)",
            licence=_LICENCE,
            paper="Kollias and Zafeiriou 2019, Expression, Affect, Action Unit Recognition: Aff-Wild2, arXiv 1910.04855",
            target="affectzoo_datasets.aff_wild2:AffWild2",
        ),
        DatasetSpec(
            name="recola",
            summary="remote collaboration, valence and arousal every 40 ms",
            licence=_LICENCE,
            paper="Ringeval et al. 2013, Introducing the RECOLA multimodal corpus of remote collaborative and affective "
            "interactions",
            target="affectzoo_datasets.recola:Recola",
        ),
        DatasetSpec(
            name="avec2013",
            summary="people at a computer, depression severity (BDI-II) of each recording",
            licence=_LICENCE,
            paper="Valstar et al. 2013, AVEC 2013: the continuous audio/visual emotion and depression recognition challenge",
            target="affectzoo_datasets.avec:Avec2013",
        ),
        DatasetSpec(
            name="avec2014",
            summary="Freeform and Northwind tasks, depression severity (BDI-II) of each recording",
            licence=_LICENCE,
            paper="Valstar et al. 2014, AVEC 2014: 3D dimensional affect and depression recognition challenge",
            target="affectzoo_datasets.avec:Avec2014",
        ),
        DatasetSpec(
            name="unbc-mcmaster",
            summary="shoulder pain, PSPI for every frame and VAS for every sequence",
            licence=_LICENCE,
            paper="Lucey et al. 2011, Painful data: the UNBC-McMaster shoulder pain expression archive database",
            target="affectzoo_datasets.unbc_mcmaster:UnbcMcMaster",
        ),
        DatasetSpec(
            name="biovid",
            summary="heat pain in five levels (part A)",
            licence=_LICENCE,
            paper="Walter et al. 2013, The BioVid heat pain database",
            target="affectzoo_datasets.biovid:BioVid",
        ),
        DatasetSpec(
            name="ravdess",
            summary="24 actors speak and sing in eight emotions",
            licence=_LICENCE,
            paper="Livingstone and Russo 2018, The Ryerson Audio-Visual Database of Emotional Speech and Song",
            target="affectzoo_datasets.ravdess:Ravdess",
        ),
        DatasetSpec(
            name="ravdess-features",
            summary="clip-level acoustic and facial features of RAVDESS in one table",
            licence=_LICENCE,
            paper="Livingstone and Russo 2018, The Ryerson Audio-Visual Database of Emotional Speech and Song",
            target="affectzoo_datasets.ravdess_features:RavdessFeatures",
        ),
        DatasetSpec(
            name="crema-d",
            summary="91 actors speak twelve sentences in six emotions",
            licence=_LICENCE,
            paper="Cao et al. 2014, CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset",
            target="affectzoo_datasets.crema_d:CremaD",
        ),
        DatasetSpec(
            name="semaine-avec",
            summary="per-utterance features of SEMAINE with valence, arousal, expectancy and power",
            licence=_LICENCE,
            paper="McKeown et al. 2012, The SEMAINE database",
            target="affectzoo_datasets.semaine_avec:SemaineAvec",
        ),
        DatasetSpec(
            name="ceap-360vr",
            summary="head and gaze of people who watch 360-degree videos, valence and arousal along time",
            licence=_LICENCE,
            paper="Xue et al. 2021, CEAP-360VR: A continuous physiological and behavioral emotion annotation dataset",
            target="affectzoo_datasets.ceap_360vr:Ceap360VR",
        ),
        DatasetSpec(
            name="faces-folder",
            summary="labelled images of faces: metadata.csv, or a folder for each class",
            licence=_LICENCE,
            target="affectzoo_datasets.faces_folder:FacesFolder",
        ),
        DatasetSpec(
            name="av-pairs",
            summary="artificial pairs: an utterance of RAVDESS and a track of faces of the same emotion, clean or degraded",
            licence=_LICENCE,
            target="affectzoo_datasets.av_pairs:load",
        ),
    ]
