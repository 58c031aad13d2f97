"""Every cell of the tables in docs/formats.md has tests; which, stands here."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIST = ("read", "written", "volumes found", "weight or wedge read", "wedge written", "peer")
PICKS = ("what positions count", "orientations", "peer")

_RELION, _EXPORT, _PROGRAM = "io/test_relion.py", "io/test_relion_export.py", "io/test_relion_program.py"
_STACKS, _PEERS, _WEDGES = "io/test_tilt_stacks.py", "io/test_peers_numbers.py", "io/test_wedges.py"
_LISTS, _SETS, _IMAGES = (
    "io/test_foreign_lists.py",
    "io/test_particles.py",
    "workflows/extract/test_zarr_particle_tools.py",
)
_PICKS, _LST, _EMCLARITY = "io/picks/test_picks.py", "io/picks/test_eman_lst.py", "io/picks/test_emclarity.py"
_REAL, _CROP, _STAR = "io/test_real_stacks.py", "io/test_dynamo_volumes.py", "io/test_star.py"

# By what the row begins with, then by column: FILE::TEST below tests/.
CELLS = {
    "RELION 3.0": {
        "read": f"{_RELION}::test_angles_are_relions_matrix_and_origins_change_sign",
        "written": f"{_PROGRAM}::test_lists_of_other_programs_converted "
        f"{_EXPORT}::test_optics_origins_and_ctf_images_are_complete",
        "volumes found": f"{_SETS}::test_names_start_in_the_project_folder",
        "weight or wedge read": f"{_SETS}::test_weighting_of_a_star_follows_its_optics "
        "io/test_several_kinds.py::test_relions_weights_with_multiplicity",
        "wedge written": f"{_EXPORT}::test_weights_in_half_precision_are_written_anew "
        f"{_PROGRAM}::test_lists_of_other_programs_converted",
        "peer": f"{_PROGRAM}::test_simulated_particles {_PROGRAM}::test_poses_of_align_and_average "
        f"{_PROGRAM}::test_refine_and_star_handler "
        f"{_STAR}::test_files_of_other_programs_round_trip_and_agree_with_starfile",
    },
    "RELION 5 and WarpTools 2D": {
        "read": f"{_STACKS}::test_relion_5_particles_stand_at_their_listed_poses "
        f"{_STACKS}::test_warptools_particles_with_and_without_their_invisible_images",
        "written": f"{_STACKS}::test_what_is_written_is_read_again_from_another_folder "
        "workflows/extract/test_from_tilt_series.py::test_extracted_stacks_are_particles_at_the_listed_poses",
        "volumes found": f"{_STACKS}::test_the_list_alone_finds_the_tomograms_beside_it",
        "weight or wedge read": f"{_STACKS}::test_both_programs_give_one_weight "
        f"{_STACKS}::test_defocus_follows_the_depth_of_the_particle_and_the_hand",
        "peer": f"{_REAL}::test_real_stacks_of_warptools_add_up_to_their_authors_map "
        f"{_IMAGES}::test_images_are_those_of_zarr_particle_tools",
    },
    "RELION 5 centred": {
        "read": "io/test_tomogram_positions.py::test_centred_coordinates_are_counted_from_the_corner",
        "written": "io/test_centred_coordinates.py::test_voxels_from_the_corner_become_angstrom_from_the_centre",
        "peer": "io/test_tomogram_positions.py::test_positions_are_the_number_of_relions_own_function",
    },
    "STOPGAP": {
        "read": f"{_PEERS}::test_stopgap_list_as_cryocat_reads_it",
        "written": f"{_PEERS}::test_stopgap_list_is_written_as_cryocat_reads_it",
        "volumes found": f"{_LISTS}::test_volumes_are_found_by_number",
        "weight or wedge read": f"{_WEDGES}::test_stopgap_wedge_list",
        "wedge written": f"{_PEERS}::test_lists_without_a_place_for_wedges_say_so",
        "peer": f"{_PEERS}::test_stopgap_list_as_cryocat_reads_it",
    },
    "AV3": {
        "read": f"{_PEERS}::test_av3_list_as_cryocat_reads_it",
        "written": f"{_PEERS}::test_av3_list_is_written_as_cryocat_reads_it",
        "volumes found": f"{_LISTS}::test_volumes_are_found_by_number",
        "weight or wedge read": f"{_SETS}::test_no_wedge_at_all_is_said_aloud",
        "wedge written": f"{_PEERS}::test_lists_without_a_place_for_wedges_say_so",
        "peer": f"{_PEERS}::test_av3_list_as_cryocat_reads_it {_LISTS}::test_av3_motive_list",
    },
    "Dynamo `.tbl`": {
        "read": f"{_PEERS}::test_dynamo_table_as_dynamotable_reads_it",
        "written": f"{_PEERS}::test_dynamo_table_is_written_as_dynamotable_reads_it",
        "volumes found": "io/test_volumes_key.py::test_two_data_folders_are_told_apart_by_the_key",
        "weight or wedge read": f"{_WEDGES}::test_dynamo_tilts_about_y_and_about_x "
        f"{_WEDGES}::test_dynamo_types_that_cannot_be_modelled",
        "wedge written": f"{_WEDGES}::test_dynamo_tilts_about_y_and_about_x",
        "peer": f"{_PEERS}::test_dynamo_rotations_as_eulerangles_makes_them {_LISTS}::test_dynamo_table",
    },
    "PyTom": {
        "read": f"{_PEERS}::test_pytom_list_as_pytom_reads_it_and_back",
        "written": f"{_PEERS}::test_pytom_list_as_pytom_reads_it_and_back",
        "volumes found": f"{_SETS}::test_pytom_volumes_are_found_where_it_ran",
        "weight or wedge read": f"{_WEDGES}::test_pytom {_WEDGES}::test_pytom_wedges_that_cannot_be_modelled",
        "wedge written": f"{_WEDGES}::test_pytom {_PEERS}::test_pytom_list_as_pytom_reads_it_and_back",
        "peer": f"{_WEDGES}::test_pytom_wedges_keep_what_pytom_keeps "
        f"{_PEERS}::test_pytom_list_as_pytom_reads_it_and_back",
    },
    "csv": {
        "read": "io/test_csv_list.py::test_all_columns",
        "written": "io/test_convert.py::test_there_and_back_without_volumes",
        "volumes found": "io/test_convert.py::test_csv_names_lead_to_the_same_files",
        "weight or wedge read": f"{_SETS}::test_weights_of_a_csv io/test_csv_list.py::test_all_columns",
        "wedge written": "io/test_convert.py::test_there_and_back_without_volumes",
        "peer": "io/test_csv_list.py::test_angles_and_matrices_agree",
    },
    "folder": {
        "read": f"{_SETS}::test_folder_glob_and_csv_agree {_SETS}::test_stack_of_volumes",
        "volumes found": f"{_SETS}::test_folder_glob_and_csv_agree",
        "weight or wedge read": f"{_SETS}::test_half_a_tilt_range",
        "peer": f"{_SETS}::test_folder_with_a_list_in_it",
    },
    "Dynamo volume list": {
        "what positions count": f"{_CROP}::test_tables_are_cropped_from_the_tomogram_they_stand_below",
        "orientations": f"{_CROP}::test_orientations_are_those_of_the_tables",
        "peer": f"{_CROP}::test_tomograms_are_numbered_in_their_order_or_by_index",
    },
    "IMOD": {
        "what positions count": f"{_PICKS}::test_imod_puts_voxel_centres_at_half_numbers_in_x_and_y "
        f"{_PICKS}::test_imod_model_drawn_on_a_part_counts_in_the_whole",
        "orientations": f"{_PICKS}::test_imod_puts_voxel_centres_at_half_numbers_in_x_and_y",
        "peer": f"{_PICKS}::test_imod_puts_voxel_centres_at_half_numbers_in_x_and_y",
    },
    "PEET": dict.fromkeys(PICKS, f"{_PICKS}::test_peet_list_takes_its_points_from_the_model"),
    "copick": {
        "what positions count": f"{_PICKS}::test_copick_lies_where_and_as_copick_says",
        "orientations": f"{_PICKS}::test_copick_without_orientations_gives_no_priors",
        "peer": f"{_PICKS}::test_copick_lies_where_and_as_copick_says",
    },
    "CryoET": dict.fromkeys(PICKS, f"{_PICKS}::test_portal_points_count_voxels_of_their_tomogram"),
    "EMAN2 `info": dict.fromkeys(PICKS, f"{_PICKS}::test_eman_boxes_count_from_the_centre"),
    "EMAN2 `.lst`": {
        "what positions count": f"{_LST}::test_positions_count_the_particles_pixels_from_the_centre "
        f"{_LST}::test_positions_are_found_in_the_list_beside_it",
        "orientations": f"{_LST}::test_poses_are_those_of_eman",
        "peer": f"{_LST}::test_poses_are_those_of_eman",
    },
    "emClarity": dict.fromkeys(PICKS, f"{_EMCLARITY}::test_particles_are_turned_and_lie_as_in_emclarity"),
}


def _filled() -> dict[tuple[str, str], str]:
    """The filled cells of both tables, by the row's first cell and the column's title."""
    found: dict[tuple[str, str], str] = {}
    titles: list[str] = []
    for line in (ROOT / "docs" / "formats.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" |")]
        if not line.startswith("|"):
            titles = []
        elif not titles:
            titles = cells
        elif titles[0] in ("list", "picks") and set(line) - set("|- "):
            found |= {(cells[0], title): cell for title, cell in zip(titles[1:], cells[1:], strict=True) if cell}
    return found


@cache
def _tests(file: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_filled_cell_has_tests_and_no_other():
    filled = _filled()
    rows = {row for row, _ in filled}
    named = {
        (row, column) for start, columns in CELLS.items() for row in rows if row.startswith(start) for column in columns
    }
    assert named == set(filled)
    assert len(rows) == len(CELLS)
    assert {column for _, column in filled} == {*LIST, *PICKS}


@pytest.mark.parametrize("row", CELLS)
def test_the_tests_of_a_row_are_there(row):
    for names in CELLS[row].values():
        for name in names.split():
            file, _, test = name.partition("::")
            assert test in _tests(file), name
