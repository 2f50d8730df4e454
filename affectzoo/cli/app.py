"""Every command and its options; the work is done in the modules beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import affectzoo
from affectzoo.cli.groups import bench_app, data_app

app = typer.Typer(
    name="affectzoo",
    help="Video with people in it to timestamped affect: a plugin-based model zoo.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="markdown",  # in rich's own markup, [@revision] is a tag and vanishes
)
app.add_typer(data_app, name="data")
app.add_typer(bench_app, name="bench")

#: What predicts where no model is named: a face, a voice or both.
MODEL = "av-base"

Plot = Annotated[bool, typer.Option("--plot", help="Also write a PNG: curves over time and the circumplex.")]
Overlay = Annotated[bool, typer.Option("--overlay", help="Also write an mp4 with boxes and values drawn in.")]
Detector = Annotated[str, typer.Option(help="auto, or a name from `affectzoo list detectors`.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"affectzoo {affectzoo.__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Video with people in it to timestamped affect: a plugin-based model zoo."""


@app.command("list")
def list_command(
    kind: Annotated[str, typer.Argument(help="models, fusions, backbones, ... ; everything where left out.")] = "all",
) -> None:
    """List models and components by name."""
    from affectzoo.cli.show import show_list

    show_list(kind)


@app.command()
def info(name: Annotated[str, typer.Argument(help="A model or component.")]) -> None:
    """Describe one model or component."""
    from affectzoo.cli.show import show_info

    show_info(name)


@app.command()
def plugins() -> None:
    """Show every plugin: version, what it provides, status, error."""
    from affectzoo.cli.show import show_plugins

    show_plugins()


@app.command()
def predict(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Video or audio files.")],
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A zoo name, org/repo[@revision] on the Hub, or a folder; several, each with its own --model, are combined.",
            show_default=MODEL,
        ),
    ] = None,
    combine: Annotated[str | None, typer.Option(help="How several models are combined: mean.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("out"),
    plot: Plot = False,
    overlay: Overlay = False,
    detector: Detector = "auto",
    detect_every: Annotated[int, typer.Option(help="Sampled frames from one face detection to the next.")] = 4,
    overlap: Annotated[float, typer.Option(help="Share that neighbouring windows have in common, under 1.")] = 0.5,
    smooth: Annotated[
        str | None,
        typer.Option(
            help="Smooth each face's predictions along time: box:SECONDS, median:SECONDS, gaussian:SECONDS or none.",
            show_default="as the model's config says",
        ),
    ] = None,
    timing: Annotated[bool, typer.Option("--timing", help="Also say where the time went, stage by stage.")] = False,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...; the GPU is taken where there is one.")] = None,
) -> None:
    """Predict affect along media files: one CSV for each, and one of scores where the model gives any."""
    from affectzoo.cli.predict import predict_files

    failed = predict_files(
        files,
        models=model or [MODEL],
        combine=combine,
        out=out,
        plot=plot,
        overlay=overlay,
        detector=detector,
        detect_every=detect_every,
        overlap=overlap,
        smooth=smooth,
        timing=timing,
        device=device,
        debug=bool(context.find_root().params.get("debug")),
    )
    if failed:
        raise typer.Exit(2 if len(files) == 1 else 1)


@app.command()
def pull(
    name: Annotated[str, typer.Argument(help="A zoo name, org/repo or org/repo@revision on the Hub, or a folder.")],
    out: Annotated[Path | None, typer.Option(help="Copy the model into this folder; it stays in the cache besides.")] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a Hub repository.")] = None,
    cache_dir: Annotated[Path | None, typer.Option(help="Where downloads are kept: the Hub client's cache.")] = None,
    local_files_only: Annotated[bool, typer.Option("--local-files-only", help="Never ask the network.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Fetch again although cached.")] = False,
) -> None:
    """Fetch a model, check it, and show where it lies, its licence and what it predicts. HF_TOKEN opens private ones."""
    from affectzoo.cli.pull import pull_model

    pull_model(name, out=out, revision=revision, cache_dir=cache_dir, local_files_only=local_files_only, force=force)


@app.command()
def train(
    experiment: Annotated[Path, typer.Argument(help="A YAML file, such as recipes/jca-rendered.yaml.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="dotted.key=value")] = None,
    nproc: Annotated[int, typer.Option(min=1, help="Processes on this machine, one for each GPU where there are any.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint of this run.")] = False,
) -> None:
    """Train; `accelerate launch -m affectzoo.train` does the same on a cluster."""
    if nproc > 1:
        from affectzoo.train.launch import launch

        raise typer.Exit(launch(nproc, [str(experiment), *(overrides or []), *(["--resume"] if resume else [])]))
    from affectzoo.train.__main__ import run

    run(experiment, overrides or [], resume=resume)


@app.command("import")
def import_command(
    kind: Annotated[str, typer.Argument(help="An importer: `affectzoo list importers`.")],
    source: Annotated[str, typer.Argument(help="A file, a folder, an https address, or org/name[@revision] on the Hub.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value of the importer's own options.")] = None,
    out: Annotated[Path, typer.Option(help="The model folder to write; absent or empty.")] = Path("out/imported"),
    name: Annotated[str | None, typer.Option(help="How its card calls the model; the folder's name.")] = None,
    dtype: Annotated[
        str | None, typer.Option(help="float32, float16 or bfloat16; float32 unless the importer says otherwise.")
    ] = None,
    digest: Annotated[str, typer.Option(help="git:... or sha256:... of a single file, checked before it is read.")] = "",
) -> None:
    """Turn somebody else's checkpoint into a model folder; nothing of it is run."""
    from affectzoo.cli.import_checkpoint import import_file

    import_file(kind, source, overrides or [], out=out, name=name, dtype=dtype, digest=digest)


@app.command()
def crossval(
    recipe: Annotated[Path, typer.Argument(help="A YAML file, such as recipes/jca-rendered.yaml.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="dotted.key=value")] = None,
    folds: Annotated[
        str | None, typer.Option(help="How many folds by subject, or loso: leave one subject out; or the protocol's.")
    ] = None,
    seed_of_folds: Annotated[
        int | None, typer.Option(min=0, help="Decides which subjects share a fold: the recipe's, or 0.")
    ] = None,
    only: Annotated[str | None, typer.Option(help="Train these folds only, such as 0,3; others stay as they are.")] = None,
    protocol: Annotated[str | None, typer.Option(help="Report as papers do: a protocol of the dataset that has folds.")] = None,
    nproc: Annotated[int, typer.Option(min=1, help="Processes for each fold, one for each GPU where there are any.")] = 1,
) -> None:
    """Train a recipe once for each fold by subject; a second call goes on, or shows the table again."""
    from affectzoo.cli.crossval import cross_validate_recipe

    ended = cross_validate_recipe(
        recipe, overrides or [], folds=folds, seed=seed_of_folds, only=only, protocol=protocol, nproc=nproc
    )
    if not ended:
        raise typer.Exit(1)


@app.command()
def features(
    data: Annotated[str, typer.Argument(help="A dataset's name, an experiment file or a run folder.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key=value of the dataset's options; of an experiment also init.audio=...")
    ] = None,
    backbone: Annotated[
        list[str] | None, typer.Option(help="A name, or {name: ..., config: {...}}; once for each modality.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Or the backbones of a model: a zoo name, org/repo, a run, a folder.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the features.")] = Path("out/features"),
    seconds: Annotated[float | None, typer.Option(help="Length of a sub-sequence; the model's, or 32/30.")] = None,
    targets: Annotated[str | None, typer.Option(help="Labels to keep; the model's, or valence,arousal.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Sub-sequences that a backbone takes at once.")] = 64,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read data.")] = 0,
) -> None:
    """Encode a dataset once: training then reads features instead of media (`data.name=features`)."""
    from affectzoo.cli.features import extract_features

    extract_features(
        data,
        overrides or [],
        backbones=backbone or [],
        model=model,
        folder=out,
        seconds=seconds,
        targets=targets,
        batch_size=batch_size,
        workers=workers,
    )


@app.command()
def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            help="A zoo name, org/repo or org/repo@revision on the Hub, a model or a run folder; with --protocol also the "
            "folder of a cross-validation."
        ),
    ],
    data: Annotated[str, typer.Argument(help="A dataset from `affectzoo list datasets`, an experiment file or a run folder.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="dotted.key=value of the dataset's options.")] = None,
    split: Annotated[str | None, typer.Option(help="train, val or test; test, or the protocol's.")] = None,
    protocol: Annotated[
        str | None, typer.Option(help="How papers report the dataset: the number of that name, first of all.")
    ] = None,
    submission: Annotated[
        Path | None, typer.Option(help="Write the file that the corpus' challenge takes instead: a prediction for every frame.")
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="A column of the corpus, such as gender or subject: metrics for each of its values; may be repeated."
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(help="A,B or TARGET:A,B: clips of other classes are left out, and probabilities renormalised."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("out/evaluate"),
    clip: Annotated[bool, typer.Option("--clip", help="Clip predictions to the range of their target.")] = False,
    smooth: Annotated[
        str | None,
        typer.Option(
            help="box:SECONDS, median:SECONDS or gaussian:SECONDS: smooth the predictions of each video. "
            "Without it nothing is smoothed, whatever the model's config says."
        ),
    ] = None,
    label_delay: Annotated[float, typer.Option(help="Seconds by which labels are moved earlier: annotators react late.")] = 0.0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...; the GPU is taken where there is one.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Windows predicted at once.")] = 16,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read data.")] = 0,
) -> None:
    """Measure a model on a dataset: metrics with intervals, each class, group, video and subject, predictions, plots."""
    from affectzoo.cli.evaluate import evaluate_model

    evaluate_model(
        model,
        data,
        overrides or [],
        split=split,
        protocol=protocol,
        submission=submission,
        by=by or [],
        classes=classes,
        folder=out,
        clip=clip,
        smooth=smooth,
        label_delay_s=label_delay,
        device=device,
        batch_size=batch_size,
        workers=workers,
    )


@app.command()
def push(
    folder: Annotated[Path, typer.Argument(help="A run folder of `affectzoo train`, or a model folder.")],
    repo: Annotated[str, typer.Argument(help="org/name on the Hub; made where it is absent.")],
    private: Annotated[
        bool | None,
        typer.Option("--private/--public", help="Of a repository that is made; the owner's default where left out."),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="A branch, made from main where it is absent.")] = None,
    create_pr: Annotated[bool, typer.Option("--create-pr", help="Open a pull request instead.")] = False,
    tag: Annotated[list[str] | None, typer.Option(help="For the card; may be given several times.")] = None,
    licence: Annotated[str | None, typer.Option(help="SPDX identifier for the weights; never assumed.")] = None,
    message: Annotated[str | None, typer.Option(help="Of the commit.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")] = False,
) -> None:
    """Share a model on the Hub: weights, config, card and training settings in one commit."""
    from affectzoo.cli.push import push_folder

    push_folder(
        folder,
        repo,
        private=private,
        revision=revision,
        create_pr=create_pr,
        tags=tag or [],
        licence=licence,
        message=message,
        dry_run=dry_run,
    )


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("out/demo"),
    seconds: Annotated[
        float | None, typer.Option(min=5, max=600, help="Length of a rendered clip: 60, or 12 with --dataset.")
    ] = None,
    model: Annotated[str, typer.Option(help="A model that predicts valence and arousal.")] = MODEL,
    detector: Detector = "auto",
    dataset: Annotated[bool, typer.Option("--dataset", help="Render a small dataset to train on instead.")] = False,
    clips: Annotated[int, typer.Option(min=5, max=1000, help="How many clips, each of another person, with --dataset.")] = 8,
) -> None:
    """Render a talking face nobody trained on, predict it, compare with the truth; or a dataset of such faces."""
    if dataset:
        from affectzoo.cli.demo_dataset import write_dataset

        write_dataset(out / "data", clips=clips, seconds=seconds or 12.0)
        return
    from affectzoo.cli.demo import run_demo

    run_demo(out, seconds=seconds or 60.0, model=model, detector=detector)


@app.command("new-plugin")
def new_plugin_command(
    name: Annotated[str, typer.Argument(help="Of the package; its component is registered under it too.")],
    kind: Annotated[str, typer.Option(help="fusion, backbone, block, dataset, detector or temporal.")],
    out: Annotated[Path, typer.Option(help="Folder in which the plugin's own is made.")] = Path(),
    licence: Annotated[
        str | None, typer.Option(help="SPDX identifier, such as MIT; never assumed.", show_default="undecided, and said so")
    ] = None,
) -> None:
    """Write an installable plugin to begin with: one small component, its tests, README and CI."""
    from affectzoo.cli.new_plugin import new_plugin

    new_plugin(name, kind, out, licence=licence)
