"""Guarded behaviours, how each is broken, and the test that must notice it; tests/faults/mutations.py runs them."""

from typing import NamedTuple


class Mutation(NamedTuple):
    """One change of one file, and a test that must notice it."""

    name: str
    file: str
    text: str
    broken: str
    test: str  # below tests/


MUTATIONS = [
    Mutation(
        "checkpoint: the digest is not compared",
        "tsam_dali/checkpoint.py",
        ".split()[:1] != [sha256(path)]",
        ".split()[:1] == []",
        "faults/test_checkpoints.py::test_the_one_before_takes_its_place",
    ),
    Mutation(
        "checkpoint: a missing digest is no matter",
        "tsam_dali/checkpoint_folder.py",
        "load_checkpoint(path, digest_needed=True)",
        "load_checkpoint(path)",
        "faults/test_checkpoints.py::test_the_one_before_takes_its_place",
    ),
    Mutation(
        "checkpoint: written straight to its name",
        "tsam_dali/checkpoint.py",
        'temporary = path.with_name(f".{path.name}.{os.getpid()}")',
        "temporary = path",
        "test_checkpoint.py::test_a_save_that_fails_leaves_the_previous_file",
    ),
    Mutation(
        "checkpoint: pickles run",
        "tsam_dali/checkpoint.py",
        "weights_only=True",
        "weights_only=False",
        "faults/test_malicious_pickles.py::test_refused_and_nothing_runs",
    ),
    Mutation(
        "weights: pickles run",
        "tsam_dali/weight_formats.py",
        "weights_only=True",
        "weights_only=False",
        "faults/test_malicious_pickles.py::test_refused_and_nothing_runs",
    ),
    Mutation(
        "video: the demuxer is not forced",
        "pipelines/video_file.py",
        'format=demuxer, metadata_errors="replace"',
        'metadata_errors="replace"',
        "faults/test_security.py::test_every_demuxer_is_forced",
    ),
    Mutation(
        "video: the first bytes are not looked at",
        "pipelines/video_file.py",
        "if declared_size is None:",
        "if False:",
        "test_video_file.py::test_wrong_ending",
    ),
    Mutation(
        "video: a cut file is not noticed by its size",
        "pipelines/video_file.py",
        "if declared_size > size:",
        "if False:",
        "test_dataset.py::test_a_video_that_cannot_be_opened",
    ),
    Mutation(
        "video: a FIFO is opened",
        "pipelines/video_file.py",
        "if stat.S_ISREG(status.st_mode):",
        "if not stat.S_ISFIFO(status.st_mode):",
        "test_video_file.py::test_not_a_file",
    ),
    Mutation(
        "sound: a name is a protocol",
        "pipelines/sound.py",
        'f"file:{os.path.abspath(path)}"',
        "str(path)",
        "test_sound.py::test_odd_names_are_only_names",
    ),
    Mutation(
        "sound: tags must be UTF-8",
        "pipelines/sound.py",
        'abspath(path)}", format=demuxer, metadata_errors="replace"',
        'abspath(path)}", format=demuxer',
        "test_sound.py::test_tags_need_not_be_utf8",
    ),
    Mutation(
        "list: an id may leave the folder",
        "pipelines/list_file.py",
        'or ".." in clip_id.split("/")',
        "",
        "faults/test_lists.py::test_what_is_refused",
    ),
    Mutation(
        "list: negative labels",
        "pipelines/list_file.py",
        "label.isascii() and label.isdecimal()",
        'label.lstrip("-").isdecimal()',
        "faults/test_lists.py::test_what_is_refused",
    ),
    Mutation(
        "list: a byte order mark is part of the first id",
        "pipelines/list_file.py",
        '.removeprefix(b"\\xef\\xbb\\xbf")',
        "",
        "faults/test_lists.py::test_what_is_read",
    ),
    Mutation(
        "list: gaps are no problem",
        "pipelines/list_file.py",
        "if gaps:",
        "if False:",
        "test_clips.py::test_labels_without_gaps",
    ),
    Mutation(
        "mel store: other settings are used",
        "pipelines/mel_file.py",
        'if metadata.get("fingerprint") != settings:',
        "if not metadata:",
        "faults/test_mels.py::test_every_setting_that_makes_other_columns",
    ),
    Mutation(
        "mel store: an outdated source is not seen",
        "pipelines/mel_summary.py",
        "if (record.size, record.mtime_ns) != source:",
        "if False:",
        "test_mel_summary.py::test_changes_of_the_source_are_seen",
    ),
    Mutation(
        "resume: the rate may differ",
        "tsam_dali/resume.py",
        '"dataset.data_dir",',
        '"dataset.data_dir", "optimizer_param",',
        "test_train.py::test_what_differs_from_the_checkpoint_is_shown",
    ),
    Mutation(
        "resume: lists may differ",
        "tsam_dali/resume.py",
        'if state["lists"][split] != now:',
        "if False:",
        "faults/test_runs.py::test_a_list_that_changed_is_refused",
    ),
    Mutation(
        "training: a loss that is not finite goes unseen",
        "tsam_dali/finite.py",
        "if norm.isfinite():",
        "if True:",
        "test_engine.py::test_a_loss_that_is_not_finite_names_its_clips",
    ),
    Mutation(
        "download: unasked",
        "tsam_dali/published_weights.py",
        "if not download:",
        "if False:",
        "test_published_weights.py::test_nothing_is_fetched_unasked",
    ),
    Mutation(
        "download: a changed file is used",
        "tsam_dali/published_weights.py",
        ".split()[:1] != [digest]",
        ".split()[:1] == []",
        "test_published_weights.py::test_fetched_once_and_checked_ever_after",
    ),
    Mutation(
        "video: damage is concealed",
        "pipelines/pictures.py",
        '{"err_detect": "explode"} if strict else {}',
        "{}",
        "test_decode.py::test_damage_is_not_concealed",
    ),
    Mutation(
        "index: a changed file is believed",
        "pipelines/index.py",
        'or record.get("mtime_ns") != mtime_ns',
        "or False",
        "test_index.py::test_what_is_known_is_not_looked_at_again_until_the_file_changes",
    ),
    Mutation(
        "training: the pipeline is not built again",
        "pipelines/loader.py",
        "if not tries_left:",
        "if True:",
        "test_loader_faults.py::test_a_killed_worker_costs_nothing_but_time",
    ),
    Mutation(
        "training: any number of broken clips is no matter",
        "pipelines/loader.py",
        "if len(self.bad) > self._max_bad:",
        "if False:",
        "test_loader_faults.py::test_too_many_broken_clips_stop_the_loader",
    ),
    Mutation(
        "training: broken clips count in the loss",
        "tsam_dali/engine.py",
        "torch.where(part.ok, losses[-1], 0).sum()",
        "losses[-1].sum()",
        "test_engine.py::test_clips_that_are_not_ok_change_nothing",
    ),
    Mutation(
        "resume: dropout is drawn anew",
        "tsam_dali/engine.py",
        "learner.seed_step()",
        "pass",
        "test_resume.py::test_killed",
    ),
    Mutation(
        "stop: the signal is not obeyed",
        "tsam_dali/watch.py",
        "return stop\n",
        "return False\n",
        "test_resume.py::test_stopped_twice_in_one_epoch",
    ),
    Mutation(
        "stop: nothing is saved",
        "tsam_dali/run.py",
        "        self.save()\n        raise Interrupted",
        "        raise Interrupted",
        "faults/test_runs.py::test_sigterm_in_every_phase_loses_no_step[training]",
    ),
]
