"""The fault matrix: what may go wrong, what is promised, and the tests that show it.

`python -m tests.faults.test_matrix` writes the table into docs/reliability.md; a test compares the two.
"""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- tests/faults/matrix.py writes from here -->", "<!-- to here -->"


@dataclass(frozen=True)
class Fault:
    """A fault, the promise about it in a sentence, and its tests as `<file below tests/>::<function>`."""

    fault: str
    promise: str
    tests: tuple[str, ...]


MATRIX = (
    Fault(
        "SIGKILL in a training, at any moment",
        "The same command goes on from the last state and ends with the bits of a training that was not killed.",
        (
            "training/test_kill.py::test_one_worker_killed_at_any_boundary_ends_with_the_same_weights",
            "training/test_kill.py::test_one_worker_killed_at_ten_random_moments_ends_with_the_same_weights",
            "training/test_kill.py::test_two_workers_killed_together_go_on_with_the_same_losses_or_as_one",
        ),
    ),
    Fault(
        "SIGKILL in another stage, at random moments",
        "The same command ends with the files of a stage that was not killed; nothing is registered twice.",
        (
            "faults/test_interruptions.py::test_a_stage_killed_at_random_moments_ends_as_one_that_was_not",
            "test_foundations.py::test_the_leftover_of_a_killed_process_is_removed",
        ),
    ),
    Fault(
        "A worker's process killed, as by the system when memory runs out",
        "On a cluster another worker takes its place; it costs the steps since the last state and no bit of the "
        "result. Without one, the same command goes on with the steps or the shards that are missing.",
        (
            "distributed/test_ray_train.py::test_a_killed_worker_is_replaced_and_ends_with_the_same_weights",
            "shards/test_staging.py::test_a_failure_is_told_in_a_sentence_and_the_same_command_goes_on",
        ),
    ),
    Fault(
        "An error in a training that nobody foresaw",
        "The training goes on from its last state, `max_failures` times, and then says what happened and what is kept.",
        (
            "distributed/test_worker.py::test_an_unforeseen_error_costs_the_steps_since_the_last_state",
            "distributed/test_worker.py::test_an_error_that_stays_is_reported_after_as_many_attempts_as_are_allowed",
        ),
    ),
    Fault(
        "A node lost",
        "Another node takes its place.",
        ("distributed/test_nodes.py::test_a_node_dies_and_another_takes_its_place",),
    ),
    Fault(
        "Ray's head lost",
        "One line says so; the last state is kept, and the same command goes on from it.",
        ("distributed/test_failures.py::test_a_lost_head_node_ends_the_training_with_a_message",),
    ),
    Fault(
        "Ray does not start in time, or not at all",
        "One line says what it needs.",
        (
            "faults/test_interruptions.py::test_a_ray_that_does_not_start_in_time_is_one_line",
            "faults/test_cluster.py::test_a_ray_that_cannot_start_is_one_line",
        ),
    ),
    Fault(
        "64 MB of shared memory, as in a container",
        "Shards are written and read.",
        ("faults/test_interruptions.py::test_shards_are_written_and_read_with_64_mb_of_shared_memory",),
    ),
    Fault(
        "Disk full while a shard is written",
        "One line; neither the shard nor its index appears; with room, the same command goes on.",
        (
            "faults/test_disks.py::test_a_full_disk_under_a_shard",
            "faults/test_disks.py::test_a_shard_without_room_for_its_index",
            "faults/test_disks.py::test_no_room_for_a_manifest_keeps_the_old_one",
        ),
    ),
    Fault(
        "Disk full while a state is written",
        "One line; the state before it is kept; with room, the training ends with the same bits.",
        ("distributed/test_failures.py::test_a_full_disk_is_reported_and_the_state_before_it_kept",),
    ),
    Fault(
        "Disk full under an evaluation or a report",
        "One line; the earlier files stay whole; with room, the same command ends well.",
        ("faults/test_disks.py::test_a_full_disk_under_an_evaluation_and_a_report",),
    ),
    Fault(
        "Disk full under a restored photo",
        "One line; an earlier file stays whole, and nothing lies beside it.",
        ("faults/test_disks.py::test_a_full_disk_under_a_restored_photo",),
    ),
    Fault(
        "A read-only data folder",
        "It is read; what should be written there is refused in one line.",
        ("faults/test_disks.py::test_a_read_only_folder",),
    ),
    Fault(
        "A shard that is truncated, altered, foreign or missing",
        "Refused by name before a sample of it is used; a training keeps its state.",
        (
            "shards/test_shards.py::test_the_error_of_a_changed_shard_names_it",
            "distributed/test_failures.py::test_a_shard_damaged_during_the_training_is_named_and_the_state_kept",
        ),
    ),
    Fault(
        "Shards that are reordered, empty or listed twice",
        "Another order is another data set by its digest, or refused; so are the others.",
        (
            "shards/test_shards.py::test_digests_follow_the_contents",
            "hostile/test_shards.py::test_a_reordered_tar_is_the_same_sample_or_refused",
            "hostile/test_shards.py::test_a_signed_manifest_with_an_impossible_shard_is_refused",
            "hostile/test_shards.py::test_a_manifest_with_a_shard_twice_is_refused",
        ),
    ),
    Fault(
        "A state that is cut short or altered",
        "It is skipped with a warning, and the state before it is taken.",
        (
            "training/test_loop.py::test_a_damaged_state_is_skipped_for_the_one_before",
            "distributed/test_lease.py::test_a_damaged_stored_state_is_skipped_for_the_one_before",
        ),
    ),
    Fault(
        "A gradient that is not finite",
        "The update changes no weight; the training ends and names step and samples; no state holds it.",
        (
            "training/test_loop.py::test_an_update_whose_gradient_is_not_finite_changes_no_weight",
            "training/test_loop.py::test_a_gradient_that_is_not_finite_is_named_a_step_later_and_spoils_no_state",
        ),
    ),
    Fault(
        "A weight that is not finite",
        "The training ends before the next state; no state, average, export or loaded model holds such a weight.",
        (
            "hostile/test_checkpoints.py::test_an_infinite_weight_ends_the_training_and_spoils_neither_average_nor_state",
            "hostile/test_checkpoints.py::test_a_state_with_an_infinite_average_is_skipped",
            "hostile/test_checkpoints.py::test_a_network_that_is_not_finite_is_not_saved",
            "hostile/test_checkpoints.py::test_weights_that_are_not_finite_are_refused_by_name",
        ),
    ),
    Fault(
        "Two trainings of one run, or two `dvc repro`, at once",
        "The second is refused, and the first ends well.",
        (
            "training/test_loop.py::test_a_state_is_not_shared",
            "distributed/test_lease.py::test_one_of_several_takes_the_lease",
            "faults/test_interruptions.py::test_of_two_dvc_repro_at_once_one_is_refused_and_the_other_ends_well",
        ),
    ),
    Fault(
        "A clock that jumps",
        "No result changes; what waits, waits by a clock that cannot jump.",
        (
            "faults/test_clock.py::test_a_training_under_a_jumping_clock_ends_with_the_same_weights",
            "faults/test_clock.py::test_the_wall_clock_is_read_where_a_jump_is_known_to_do_no_harm",
        ),
    ),
    Fault(
        "MLflow's store locked",
        "It is waited for.",
        ("faults/test_store.py::test_a_store_that_another_program_holds_is_waited_for",),
    ),
    Fault(
        "MLflow's store of another schema, damaged or gone",
        "One line; the file stays as it is. A lost registry is made again from the evaluations.",
        (
            "faults/test_store.py::test_a_store_of_another_schema_is_named_and_stays_as_it_is",
            "faults/test_store.py::test_a_store_that_is_gone_is_an_empty_registry",
            "tracking/test_store.py::test_a_file_that_is_no_store_raises_a_clear_error",
            "pipelines/test_promote.py::test_promotion_rebuilds_a_lost_registry",
        ),
    ),
    Fault(
        "The whole checkout moved or copied",
        "The store finds its files in the new place, and a copy writes nothing into the original.",
        ("tracking/test_store.py::test_a_moved_or_copied_store_finds_its_own_files",),
    ),
    Fault(
        "A tracking server that is gone, slow or answers with errors",
        "A training goes on and sends its figures later; other commands end with one line.",
        (
            "distributed/test_figures.py::test_figures_wait_for_a_server_that_is_gone",
            "distributed/test_figures.py::test_a_server_that_is_gone_is_not_asked_at_every_step",
            "distributed/test_figures.py::test_no_step_waits_for_a_server_that_is_slow",
            "faults/test_store.py::test_a_server_that_is_none_is_named",
        ),
    ),
    Fault(
        "Object storage that fails, or a machine that comes back late",
        "Half a push is invisible; the uploads of a process that lost its lease never count.",
        (
            "test_storage.py::test_half_a_push_stays_invisible",
            "test_storage.py::test_an_error_of_the_storage_names_the_address",
            "distributed/test_lease.py::test_states_of_a_stale_process_never_count",
        ),
    ),
    Fault(
        "A tar made to harm: links, names that leave the folder, false headers, members twice",
        "Refused by the name of the member; nothing is ever unpacked to disk.",
        (
            "hostile/test_shards.py::test_members_that_are_no_plain_files_of_one_sample_are_refused",
            "hostile/test_shards.py::test_a_header_that_was_altered_is_refused",
            "hostile/test_any_bytes.py::test_edited_bytes_are_read_or_refused",
        ),
    ),
    Fault(
        "An image that lies about its size, or pairs of unequal size",
        "Refused before memory is taken.",
        (
            "hostile/test_shards.py::test_an_image_that_lies_about_its_size_takes_no_memory",
            "hostile/test_shards.py::test_images_of_unequal_size_or_none_are_refused",
            "image/test_photos.py::test_a_small_file_with_a_huge_picture_is_refused",
        ),
    ),
    Fault(
        "JSON that is too deep or too big",
        "Refused with the file's name.",
        (
            "hostile/test_shards.py::test_json_that_is_too_deep_or_none_is_refused",
            "hostile/test_shards.py::test_json_that_is_too_big_is_not_read",
        ),
    ),
    Fault(
        "A checkpoint with code in it, a false header, wrong shapes or kinds",
        "No code runs, and nobody is advised to run it; refused by the name of the tensor.",
        (
            "hostile/test_checkpoints.py::test_code_in_a_file_of_weights_does_not_run_and_nobody_is_advised_to_run_it",
            "hostile/test_checkpoints.py::test_a_pickle_in_a_models_folder_is_refused",
            "hostile/test_checkpoints.py::test_a_header_that_promises_too_much_takes_no_memory",
            "hostile/test_checkpoints.py::test_weights_of_another_kind_of_number_are_refused",
            "models/test_checkpoint.py::test_weights_of_another_model_are_refused",
        ),
    ),
    Fault(
        "Parameters with tags, keys twice, values of two readings, exploding anchors",
        "Refused with the line and what to write; every reader of the file sees the same value.",
        (
            "hostile/test_parameters.py::test_what_is_not_plain_is_refused_with_its_line",
            "hostile/test_parameters.py::test_a_number_is_read_as_dvc_reads_it",
            "hostile/test_parameters.py::test_a_value_of_another_kind_is_not_converted",
            "hostile/test_any_bytes.py::test_any_value_anywhere_in_the_parameters_is_taken_or_named",
        ),
    ),
    Fault(
        "Names that leave their folder",
        "Refused in parameters, manifests and lists of stored files.",
        (
            "hostile/test_parameters.py::test_a_name_cannot_leave_its_folder",
            "hostile/test_names.py::test_a_stored_list_cannot_name_a_file_outside_its_folder",
            "hostile/test_names.py::test_a_table_of_photographs_cannot_name_a_file_outside_its_folder",
        ),
    ),
    Fault(
        "Hours in one process",
        "Memory does not grow over 500 restores or 2,000 steps.",
        (
            "faults/test_long_runs.py::test_five_hundred_restores_do_not_grow",
            "faults/test_long_runs.py::test_two_thousand_steps_do_not_grow",
        ),
    ),
    Fault(
        "A dependency under a licence that takes freedoms, or code fetched at run time",
        "A test lists every licence and refuses what nobody has looked at; nothing is fetched.",
        (
            "supply/test_licences.py::test_every_dependency_has_a_licence_that_was_looked_at",
            "supply/test_offline.py::test_the_library_fetches_neither_code_nor_weights",
        ),
    ),
)


def table(slow: frozenset[str] = frozenset()) -> str:
    """The matrix as a table of Markdown; tests in `slow` run with `make test-slow`."""
    lines = ["| fault | promise | shown by |", "|---|---|---|"]
    for row in MATRIX:
        shown = "<br>".join(f"`{name}`{' (slow)' if name in slow else ''}" for name in row.tests)
        lines.append(f"| {row.fault} | {row.promise} | {shown} |")
    return "\n".join(lines)


def written(document: str, slow: frozenset[str]) -> str:
    """The document with today's table."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(slow)}\n{END}{after}"
