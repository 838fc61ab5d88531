"""The fault matrix: what can go wrong, what is expected of the project then, and the test that holds it to that.

A file is taken at its word only as far as it can be checked; one clip never costs more than itself; a run never loses
more than it has not written yet; whatever is refused says where, why and what to do.

Each row is two lines: `fault: expected behaviour`, then the test below tests/.
"""

from typing import NamedTuple


class Row(NamedTuple):
    """A row of the matrix."""

    area: str
    fault: str
    expected: str
    test: str  # file below tests/ and name of the function


TABLES = {
    "files": """
truncated: each of 40 lengths has a status, none gives a picture
    faults/test_files.py::test_cut_at_many_places
truncated: the same for six containers and layouts
    pipelines/decode/test_container.py::test_truncated
truncated: also where the container names no size
    pipelines/decode/test_container.py::test_truncated_without_a_size
truncated: while training: a black clip, named once
    pipelines/dali/test_loader_faults.py::test_a_clip_that_breaks_later_is_black_and_named_once
randomly damaged: a status or the right frames; the parent lives
    pipelines/decode/test_probe.py::test_randomly_damaged_files
randomly damaged: an error or the right frames, but for damage no decoder sees
    pipelines/decode/test_container.py::test_random_damage
randomly damaged: strict decoding reports most of it; the rest are valid codes for other pictures
    pipelines/decode/test_damage.py::test_damage_is_not_concealed
hangs or crashes the decoder: timeout, out_of_memory, crashed; the run goes on
    pipelines/parallel/test_sandbox.py::test_children_that_misbehave
crashes the decoder while it is read: named in a prediction; the others are predicted
    tsam_dali/inference/test_predict.py::test_a_file_that_crashes_its_decoder_costs_itself_alone
hangs while it is read: given up after ten minutes, and named
    pipelines/test_thread_loader.py::test_what_hangs_is_given_up
zero bytes: status empty
    pipelines/decode/test_container.py::test_empty
HTML named .mp4: status not_a_video
    pipelines/decode/test_container.py::test_text
playlist named .mp4: not_a_video; the file that it names is not read
    pipelines/decode/test_container.py::test_text
playlist named .mp4: the same for its audio
    pipelines/audio/test_read.py::test_a_file_that_is_something_else
playlist named .mp4: the same for the ffmpeg program
    tools/test_video2frames.py::test_failures_are_listed_and_leave_nothing_behind
no video stream: status no_video
    pipelines/decode/test_container.py::test_audio_alone
no audio stream: silence, an error or left out, as model.missing_audio says
    pipelines/dataset/test_load.py::test_clips_whose_audio_cannot_be_read_or_is_not_there
no audio stream: stored as silence
    pipelines/audio/test_mel_records.py::test_what_is_stored_and_said
variable frame rate: frames by their number, exactly
    pipelines/decode/test_frame_contents.py::test_variable_frame_rate
edit list: hidden pictures are no frames
    pipelines/decode/test_frame_contents.py::test_edit_list_hides_frames
rotation: upright, as players show it
    pipelines/decode/test_frame_contents.py::test_rotation
mirrored: as players show it, in all ways in and in copies
    pipelines/decode/test_orientation.py::test_eight_orientations
pixels that are not square: crops are squares as players show them
    pipelines/decode/test_aspect.py::test_crops_are_squares_as_shown
empty samples: no frames, as FFmpeg has it
    pipelines/decode/bitstream/test_empty_samples.py::test_an_empty_sample_is_no_frame
odd size: decoded
    pipelines/decode/test_frame_contents.py::test_sizes_and_pixel_formats
10 bit: decoded
    pipelines/decode/test_frame_contents.py::test_sizes_and_pixel_formats
first pts not 0: frame 0 is the first picture
    pipelines/decode/test_frame_contents.py::test_first_frame_later_than_zero
1 and 3 frames: decoded; a plan repeats frames
    pipelines/decode/test_frame_contents.py::test_very_short
1 and 3 frames: every number of frames and segments stays inside
    pipelines/sampling/test_plan.py::test_frames_follow_the_rule_for_every_length
out of the ordinary, all kinds: trained on, none is left out
    faults/test_files.py::test_whatever_is_out_of_the_ordinary_is_trained_on
unusable, all kinds: named at once; left out up to max_bad_fraction
    faults/test_files.py::test_whatever_cannot_be_read_is_named_and_left_out
unreadable: status unreadable, says to check permissions
    faults/test_files.py::test_a_file_without_the_right_to_read_it
FIFO: status not_a_file, never waits
    pipelines/decode/test_container.py::test_not_a_file
FIFO: the same for audio
    pipelines/audio/test_read.py::test_a_fifo_is_not_opened
symlink out of the folder: followed: the owner made it; a list cannot
    security/test_security_of_paths.py::test_links_are_the_owners
symlink out of the folder: a link that leads nowhere or in a circle has a status
    pipelines/dataset/test_video_index.py::test_bad_files_have_a_status_each
tags that are no UTF-8: read
    pipelines/audio/test_read.py::test_tags_need_not_be_utf8
missing: every id without a file is named
    pipelines/dataset/test_video_index.py::test_every_id_without_a_file_is_named
""",
    "lists": """
gaps: an error that names the labels
    faults/test_lists.py::test_gaps_and_repeats_in_lists
negative: an error with file and line
    faults/test_lists.py::test_what_is_refused
non-integer: an error with file and line
    faults/test_lists.py::test_what_is_refused
duplicate, same label: counts once, a warning
    pipelines/dataset/test_list_file.py::test_a_repeated_line_counts_once_and_is_a_warning
duplicate, other label: an error that names both lines
    faults/test_lists.py::test_what_is_refused
../: an error with file and line
    faults/test_lists.py::test_what_is_refused
spaces: part of the id
    faults/test_lists.py::test_files_of_odd_names_are_found
$(...): part of the id, never run
    faults/test_lists.py::test_files_of_odd_names_are_found
ends in 4: nothing is cut off
    faults/test_lists.py::test_files_of_odd_names_are_found
ends in 4: folders that TSAM cut short are explained, never guessed
    pipelines/dataset/test_tsam_names.py::test_folders_are_explained_and_renamed
blank: passed over
    faults/test_lists.py::test_what_is_read
comments: passed over
    faults/test_lists.py::test_what_is_read
CRLF: read
    faults/test_lists.py::test_what_is_read
BOM: read
    faults/test_lists.py::test_what_is_read
not UTF-8: an error with file and line
    faults/test_lists.py::test_what_is_refused
empty: an error
    faults/test_lists.py::test_what_is_refused
thousands, generated: entries inside the folder, or an error of this file
    faults/test_lists.py::test_no_list_leads_out_of_the_folder
thousands, generated: every broken line is named and no other
    pipelines/dataset/test_list_file.py::test_every_broken_line_is_named_and_no_other
a fold without a class: an error where it could not be learned, before anything is written
    tools/test_make_folds.py::test_a_fold_that_lacks_a_class
a fold without a class: all folds are checked before the first is trained
    tsam_dali/runs/test_folds.py::test_problems_of_all_folds_are_named_before_the_first_is_trained
classes that change places: an error for unknown ones and those in two pairs
    pipelines/dataset/test_flip_labels.py::test_pairs_that_are_none
several at once: all of both lists are named together
    pipelines/dataset/test_load.py::test_mistakes_of_both_lists_are_named_together
""",
    "mel store": """
missing: an error with the command that makes it
    pipelines/dataset/test_load.py::test_a_missing_mel_store_is_named_with_the_command
stale: an error with the command
    pipelines/dataset/test_load.py::test_a_mel_store_that_is_outdated_or_made_otherwise
stale: another size, time or source is seen
    pipelines/audio/test_mel_records.py::test_changes_of_the_source_are_seen
cut: every cut is an error
    faults/test_mels.py::test_every_cut
damaged: columns or an error, whatever a bit of the header becomes
    faults/test_mels.py::test_every_bit_of_the_header
damaged: every changed byte of the columns is an error
    faults/test_mels.py::test_every_byte_of_the_columns
hostile: sizes and arrays that the file does not hold are refused, without memory taken for them
    faults/test_mels.py::test_files_that_claim_what_they_do_not_hold
fewer channels: an error with the command that adds the other
    tools/test_precompute_channels.py::test_only_the_channels_that_are_asked_for_are_stored
damaged: values that are no numbers are refused
    pipelines/audio/test_mel_store.py::test_values_that_are_no_numbers
wrong settings: an error that names both
    faults/test_mels.py::test_every_setting_that_makes_other_columns
not writable: one line
    faults/test_mels.py::test_a_file_in_the_place_of_the_store
disk full: the old file stays
    pipelines/audio/test_mel_store.py::test_a_failed_write_leaves_the_old_file
disk full: one line; what is done is kept
    faults/test_mels.py::test_a_full_disk_ends_the_summary_in_one_line
""",
    "runs": """
kill -9: goes on, bit-identical
    tsam_dali/runs/test_resume.py::test_killed
kill -9: whatever name a save has given, a checkpoint counts
    tsam_dali/weights/test_checkpoint.py::test_a_run_killed_between_two_names_leaves_the_old_file_or_the_new_one
kill -9: what it cut off at the end of an epoch is caught up
    tsam_dali/runs/test_run.py::test_what_a_kill_cut_off_at_the_end_of_an_epoch_is_caught_up
kill -9 of one rank: all end, no orphans, goes on bit-identical
    tsam_dali/runs/test_resume.py::test_two_ranks_one_killed_one_stopped
kill -9 of a worker: costs time only
    pipelines/dali/test_loader_faults.py::test_a_killed_worker_costs_nothing_but_time
SIGTERM in every phase: network, training, saving, validation, report: no step lost
    faults/test_runs.py::test_sigterm_in_every_phase_loses_no_step
SIGTERM in every phase: twice in one epoch
    tsam_dali/runs/test_resume.py::test_stopped_twice_in_one_epoch
SIGTERM in every phase: a second one while it starts
    tsam_dali/runs/test_signals.py::test_a_second_signal_does_not_break_off_what_the_first_one_set_going
SIGTERM in every phase: while it starts
    tsam_dali/runs/test_resume.py::test_stopped_while_it_starts
disk full: the checkpoint before is whole
    tsam_dali/runs/test_resume.py::test_a_full_disk_leaves_the_checkpoint_before
disk full: inside an epoch a warning, three times in a row an error
    tsam_dali/weights/test_checkpoint_folder.py::test_a_full_disk_inside_an_epoch_is_a_warning_and_the_third_in_a_row_an_error
disk full: no half file under a name
    tsam_dali/weights/test_checkpoint.py::test_a_save_that_fails_leaves_the_previous_file
disk full: the log does not stop a run
    tsam_dali/runs/test_metrics_log.py::test_a_full_disk_does_not_stop_the_log
read-only folder: results: an error before training; data: a warning
    faults/test_runs.py::test_folders_that_may_not_be_written
non-finite loss: stops one step later, names the clips
    tsam_dali/training/test_engine.py::test_a_loss_that_is_not_finite_names_its_clips
non-finite loss: on one of three ranks: all stop at the same step
    ranks/test_train_steps.py::test_a_loss_that_is_not_finite_on_one_rank_stops_all_at_the_same_step
non-finite loss: lasting under fp16: stops after 20 skipped steps
    tsam_dali/training/test_fp16.py::test_fp16_stops_where_every_step_is_skipped
non-finite loss: status failed; no checkpoint is spoilt
    faults/test_runs.py::test_a_loss_that_is_not_finite_ends_the_run_and_spoils_no_checkpoint
damaged checkpoint: every flipped bit and every cut is detected
    faults/test_checkpoints.py::test_every_bit_and_every_cut
damaged checkpoint: those of its digest, too
    faults/test_checkpoints.py::test_every_bit_and_every_cut_of_the_digest
damaged checkpoint: named; the one before takes its place
    faults/test_checkpoints.py::test_the_one_before_takes_its_place
damaged checkpoint: a whole run goes on from the one before
    tsam_dali/runs/test_resume.py::test_a_damaged_checkpoint_is_passed_over
malicious pickle: 16 kinds refused, nothing runs
    security/test_malicious_pickles.py::test_refused_and_nothing_runs
changed settings on resume: refused with each difference, unless --force
    tsam_dali/runs/test_train.py::test_what_differs_from_the_checkpoint_is_shown
changed settings on resume: every setting that decides what is learned
    faults/test_resumed_settings.py::test_every_setting_that_decides_what_is_learned_is_compared
changed list on resume: refused
    faults/test_resumed_settings.py::test_a_list_that_changed_is_refused
other number of ranks: the same global batches
    ranks/test_batches.py::test_two_ranks_see_the_global_batches_of_one
changed settings on resume: forced, with epochs of another length: the epoch begins anew
    faults/test_resumed_settings.py::test_epochs_of_another_length_begin_anew
changed settings on resume: another network: refused, even if forced
    faults/test_resumed_settings.py::test_another_head_is_refused_with_the_tensors_named
results folder not shared: an error on all ranks
    ranks/test_train_steps.py::test_ranks_that_find_different_checkpoints_end_alike
other number of ranks: the same global batches from a step in an epoch on
    ranks/test_batches.py::test_a_run_that_goes_on_sees_the_global_batches_of_one_rank
other number of ranks: a run goes on to its end
    faults/test_runs.py::test_a_run_goes_on_with_another_number_of_ranks
too many broken clips: an error
    pipelines/dali/test_loader_faults.py::test_too_many_broken_clips_stop_the_loader
a tracker fails or hangs: a warning; the run goes on
    tsam_dali/runs/test_metrics_log.py::test_trackers_that_hang_cost_a_run_a_moment_at_its_end
""",
}


def _rows(area: str, table: str) -> list[Row]:
    lines = table.strip().splitlines()
    return [Row(area, *said.split(": ", 1), test.strip()) for said, test in zip(lines[::2], lines[1::2], strict=True)]


MATRIX = [row for area, table in TABLES.items() for row in _rows(area, table)]
