"""Tables of results."""

from __future__ import annotations

from keras_mothernets.reporting import Result, member_table, time_table


def test_member_table_has_every_network_in_the_order_of_the_members(mother_nets: Result) -> None:
    lines = member_table(mother_nets).splitlines()
    assert lines[0].split() == (
        "network role parameters inherited deviation epochs time test accuracy".split()
    )
    assert [line.split() for line in lines[1:]] == [
        ["mothernet", "mother", "1,234", "3", "12.0", "s"],
        ["deep", "member", "1,234", "50.0%", "3.0e-07", "1", "4.0", "s", "91.00%"],
        ["wide", "member", "1,234", "25.0%", "2.0e-07", "1", "4.0", "s", "87.00%"],
    ]


def test_columns_are_aligned(mother_nets: Result) -> None:
    header, *rows = member_table(mother_nets).splitlines()
    end = header.index("parameters") + len("parameters")
    assert all(row[:end].endswith("1,234") for row in rows)


def test_time_table_compares_with_the_first(full_data: Result, mother_nets: Result) -> None:
    lines = time_table([full_data, mother_nets]).splitlines()
    assert [line.split() for line in lines[1:]] == [
        "FullData 60.0 s 60.0 s 1.00 x 92.00% 90.00% 85.00%".split(),
        "MotherNets 12.0 s 8.0 s 20.0 s 3.00 x 93.00% 91.00% 89.00%".split(),
    ]


def test_one_method_alone_is_not_compared(full_data: Result) -> None:
    [_, row] = time_table([full_data]).splitlines()
    assert row.split() == "FullData 60.0 s 60.0 s 92.00% 90.00% 85.00%".split()
