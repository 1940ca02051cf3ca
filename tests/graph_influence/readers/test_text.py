"""Every text format by its content; every problem by its line."""

from __future__ import annotations

import gzip

import pytest
from scipy.io import mmread

from graph_influence.errors import InvalidGraph
from graph_influence.readers import from_scipy, read
from tests.graph_influence.listing import listed


@pytest.fixture
def written(tmp_path):
    def write(text, name="ties.txt"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


EDGES = [(3, 5, 1.0), (5, 9, 1.0), (9, 3, 1.0)]


@pytest.mark.parametrize(
    "text",
    [
        "# Directed graph: x.txt\r\n# FromNodeId\tToNodeId\r\n3\t5\r\n5\t9\r\n9\t3\r\n",
        "3 5\n5  9\n9 3",
        "3,5\n5,9\n\n9,3\n",
        "node_1,node_2\n3,5\n5,9\n9,3\n",
        "alpha;beta\n3;5\n5;9\n9;3\n",
        "source_id:token\ttarget_id:token\r\n3\t5\r\n5\t9\r\n9\t3\r\n",
        "% comment\n3 5\n5 9\n# between\n9 3\n9 9\n3 5\n",
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_edge_lists_of_many_dialects(written, text, compressed):
    content = gzip.compress(text.encode()) if compressed else text.encode("utf-8-sig")
    graph = read(written(content, "ties.gz" if compressed else "ties.txt"))
    assert listed(graph) == EDGES
    assert graph.nodes.take([0, 1, 2]) == [3, 5, 9]


def test_a_third_column_is_a_probability_unless_it_is_left_alone(written):
    path = written("3 5 0.5\n5 9 1e-3\n9 3 1\n")
    assert listed(read(path)) == [(3, 5, 0.5), (5, 9, 0.001), (9, 3, 1.0)]
    assert listed(read(path, probability=False)) == EDGES
    counted = written("3 5 7\n5 9 2\n9 3 1\n")
    with pytest.raises(InvalidGraph, match=r"from 0 to 1 \(2 bad, line 1, 2\)"):
        read(counted)
    assert listed(read(counted, probability=False)) == EDGES
    named = written("weight,to,from\n0.5,5,3\n0.25,9,5\n")
    assert listed(read(named, source="from", target="to", probability="weight")) == [(3, 5, 0.5), (5, 9, 0.25)]
    assert read(named, source="from", target="to").probability.tolist() == [0.5, 0.25]
    for name in ("p", True):
        with pytest.raises(InvalidGraph, match=rf"`{name}` must exist \(got `weight`"):
            read(named, probability=name)
    assert read(written("from,to,score\n3,5,0.5\n")).probability.tolist() == [1.0]  # not one by its name


def test_direction_and_parallel_arcs_are_options(written):
    path = written("1 2 0.5\n2 1 0.4\n1 2 0.5\n3 1 1\n")
    assert listed(read(path, reverse=True)) == [(1, 2, 0.4), (1, 3, 1.0), (2, 1, 0.5)]
    assert listed(read(path, parallel="combine")) == [(1, 2, 0.75), (2, 1, 0.4), (3, 1, 1.0)]
    assert listed(read(path, undirected=True)) == [(1, 2, 0.5), (1, 3, 1.0), (2, 1, 0.4), (3, 1, 1.0)]
    with pytest.raises(InvalidGraph, match=r"at most one arc \(1 bad, line 3\)"):
        read(path, parallel="raise")


def test_ids_that_are_text(written):
    assert listed(read(written("ann bob\nbob 007\n"))) == [("ann", "bob", 1.0), ("bob", "007", 1.0)]
    assert listed(read(written("follower,followee\nann,bob\n"))) == [("ann", "bob", 1.0)]
    unclear = written("x y\nann bob\n")
    with pytest.raises(InvalidGraph, match=r"header=True \(`--header`\)"):
        read(unclear)
    assert listed(read(unclear, header=True)) == [("ann", "bob", 1.0)]
    assert listed(read(unclear, header=False)) == [("ann", "bob", 1.0), ("x", "y", 1.0)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ann,42\n42,17\n17,9\n", [("17", "9"), ("42", "17"), ("ann", "42")]),
        ("ann,bob\n42,17\n17,ann\n", [("17", "ann"), ("42", "17"), ("ann", "bob")]),
        ('"Doe, Jane",42\n42,17\n17,"Doe, Jane"\n', [("17", "Doe, Jane"), ("42", "17"), ("Doe, Jane", "42")]),
        ('"Doe, Jane" b\nb "Doe, Jane"\n', [("Doe, Jane", "b"), ("b", "Doe, Jane")]),
    ],
)
def test_a_first_tie_of_names_is_no_header_of_numbers_or_names_below(written, text, expected):
    assert [tie[:2] for tie in listed(read(written(text)))] == expected


def test_xml_is_told_to_be_none(written):
    with pytest.raises(InvalidGraph, match="got XML.*NetworkX.*`from_networkx`"):
        read(written('<?xml version="1.0"?>\n<graphml>\n<node id="a"/>\n</graphml>\n'))


@pytest.mark.parametrize(("field", "values"), [("pattern", ("", "")), ("real", (" 0.5", " 0.25"))])
def test_a_matrix_that_holds_each_tie_once_is_not_read_one_way(written, field, values):
    path = written(f"%%MatrixMarket matrix coordinate {field} symmetric\n%\n3 3 2\n2 1{values[0]}\n3 1{values[1]}\n")
    with pytest.raises(InvalidGraph, match="got Matrix Market.*`scipy.io.mmread`.*`from_scipy`"):
        read(path, probability=False)
    ties = [tie[:2] for tie in listed(from_scipy(mmread(path)))]
    assert ties == [(0, 1), (0, 2), (1, 0), (2, 0)]  # both ways, and the size of the matrix is none


def test_a_head_counts_nodes_and_may_be_wrong_about_edges(written):
    edges = "".join(f"{node} {node + 1}\n" for node in range(20))
    graph = read(written(f"25 21\n{edges}"))
    assert (graph.num_nodes, graph.num_arcs) == (25, 20)
    assert graph.nodes.take([0, 24]) == [0, 24]
    weighted = read(written("4 2\n0 1 0.5\n2 1 0.25\n"))
    assert (weighted.num_nodes, listed(weighted)) == (4, [(0, 1, 0.5), (2, 1, 0.25)])
    from_one = read(written("3 3\n1 2\n2 3\n3 1\n"), format="headed")
    assert from_one.nodes.take([0, 1, 2]) == [1, 2, 3]
    assert read(written("30 1412\n30 3352\n30 5254\n")).num_arcs == 3  # no head: edges of SNAP
    assert read(written("5 4\n4 3\n3 2\n2 1\n1 0\n"), format="edges").num_arcs == 5


METIS = "% a path and a node without edges\n4 2\n2\n1 3\n2\n\n"


def test_metis_has_a_line_a_node(written):
    graph = read(written(METIS))
    assert listed(graph) == [(1, 2, 1.0), (2, 1, 1.0), (2, 3, 1.0), (3, 2, 1.0)]
    assert graph.num_nodes == 4
    assert read(written(METIS + "\n")).num_nodes == 4
    weighted = "3 2 011 1\n9 2 5\n9 1 5 3 6\n9 2 6\n"  # a weight of each node, and one of each edge
    assert listed(read(written(weighted))) == [(1, 2, 1.0), (2, 1, 1.0), (2, 3, 1.0), (3, 2, 1.0)]
    cycle = read(written("4 4\n2 4\n1 3\n2 4\n1 3\n"), format="metis")
    assert cycle.out_degree().tolist() == [2, 2, 2, 2]


def test_large_numbers_in_the_first_line_are_no_head(written):
    timed = written("1 2 1082040961\n3 4 1082155839\n5 2 1082414391\n")
    assert listed(read(timed, probability=False)) == [(1, 2, 1.0), (3, 4, 1.0), (5, 2, 1.0)]
    with pytest.raises(InvalidGraph, match="from 0 to 1"):
        read(timed)
    weighted = written("1 2 12\n2 3 7\n")
    assert listed(read(weighted, probability=False)) == [(1, 2, 1.0), (2, 3, 1.0)]
    assert listed(read(written("900000000000 1\n5 7\n"))) == [(5, 7, 1.0), (900000000000, 1, 1.0)]


@pytest.mark.parametrize(
    ("text", "fitting"),
    [
        ("2 1\n1 2\n", "edges headed"),
        ("3 2\n0 1\n1 2\n", "edges headed"),
        ("7 1\n2 3\n", "edges headed"),
        ("5 0\n", "edges headed"),
        ("1 0\n\n", "edges headed metis"),
        ("1 1\n1 1\n", "edges headed metis"),
        ("3 3\n2 3\n1 3\n1 2\n", "edges headed metis"),
        ("4 4\n2 4\n1 3\n2 4\n1 3\n", "edges headed metis"),
        ("4 6\n2 3 4\n1 3 4\n1 2 4\n1 2 3\n", "headed metis"),
        ("4 6 0\n2 3 4\n1 3 4\n1 2 4\n1 2 3\n", "edges metis"),
        ("99 98\n" + "".join(f"{node + 1} {node}\n" for node in range(98)), "edges headed"),
    ],
)
def test_what_fits_several_formats_is_refused_and_read_as_whichever_is_named(written, text, fitting):
    path = written(text)
    with pytest.raises(InvalidGraph, match=f"(?s)first line is .*`{text.splitlines()[0]}`.*`format`") as caught:
        read(path)
    for format in ("edges", "headed", "metis"):
        assert (f"{format} where it" in str(caught.value)) == (format in fitting.split())
    for format in fitting.split():
        assert read(path, format=format, probability=False).num_nodes


@pytest.mark.parametrize("text", ["1 1\n1 2\n", "2 2\n1 2\n2 3\n", "3 3\n2 9\n1 3\n1 2\n", "2 3 0\n1 2 1\n3 1 0\n"])
def test_edges_of_which_the_first_happens_to_count_the_others_are_edges(written, text):
    pairs = sorted({tuple(map(int, line.split()[:2])) for line in text.splitlines()})
    graph = read(written(text))
    assert [(a, b) for a, b, _ in listed(graph)] == [(a, b) for a, b in pairs if a != b]


def test_a_head_of_more_edges_than_nodes_is_no_edge(written):
    complete = "".join(f"{a} {b}\n" for a in range(4) for b in range(a))
    assert (read(written(f"4 6\n{complete}")).num_nodes, read(written(f"4 6\n{complete}")).num_arcs) == (4, 6)
    assert read(written("5 0\n"), format="headed").nodes.take(range(5)) == [0, 1, 2, 3, 4]


def test_problems_of_metis_are_told_by_line(written):
    with pytest.raises(InvalidGraph) as caught:
        read(written("% x\n3 3\n2\n1 3\n7\n"), format="metis")
    text = str(caught.value)
    assert "the edges must be 3" in text
    assert "from 1 to 3 (1 bad, line 5)" in text
    assert "from both its ends (1 bad, line 4)" in text
    with pytest.raises(InvalidGraph, match="a line for each of the 3 nodes"):
        read(written("3 1\n2\n1\n"), format="metis")
    with pytest.raises(InvalidGraph, match=r"whole numbers \(1 bad, line 2\)"):
        read(written("2 1\nx\n1\n"), format="metis")
    with pytest.raises(InvalidGraph, match=r"whole numbers \(1 bad, line 3\)"):
        read(written("2 1\n2\n\N{SUPERSCRIPT TWO}\n"), format="metis")  # a digit, and no number
    for format in ("metis", None):
        with pytest.raises(InvalidGraph, match=r"from 1 to 2 \(1 bad, line 3\)"):
            read(written(f"2 1 0\n2\n{10**20}\n"), format=format)


@pytest.mark.parametrize("digits", [25, 5_000])  # more than 64 bits hold, and more than Python reads
def test_a_number_of_many_digits_is_told_like_any_other_wrong_one(written, digits):
    large = "9" * digits
    with pytest.raises(InvalidGraph, match=r"neighbours must be from 1 to 2 \(1 bad, line 3\)"):
        read(written(f"2 1\n2\n{large}\n"), format="metis")
    for header in (f"{large} 1", f"2 {large}", f"2 1 011 {large}"):
        with pytest.raises(InvalidGraph, match="the first line must be n, m"):
            read(written(f"{header}\n2\n1\n"), format="metis")
    for header in (f"{large} 1", f"2 {large}"):
        with pytest.raises(InvalidGraph, match="there must be a first line"):
            read(written(f"{header}\n0 1\n"), format="headed")
    edges = read(written(f"4 3\n0 1\n1 2\n2 {large}\n"))  # no header, then: ids may be as long as they like
    assert edges.num_arcs == 4 and large in edges.nodes.take(range(len(edges.nodes)))


@pytest.mark.parametrize("below", ["", "1 2\n"])
def test_a_head_counts_no_more_nodes_than_a_graph_can_have(written, below):
    with pytest.raises(InvalidGraph, match=rf"at most {2**31 - 1} nodes \(got {10**14} in the first line\)"):
        read(written(f"{10**14} 1\n{below}"), format="headed")


def test_every_problem_of_a_file_is_told_with_its_line(written):
    path = written("# c\n1 2 0.5\n2 3\n3 4 1.5\n4 1 x\n")
    with pytest.raises(InvalidGraph) as caught:
        read(path)
    text = str(caught.value)
    assert text.startswith("ties.txt cannot be read as a social graph:")
    assert "must have 3 fields (source, target, probability) (1 bad, line 3)" in text
    assert "from 0 to 1 (2 bad, line 4, 5)" in text
    assert len(caught.value.problems) == 2
    with pytest.raises(InvalidGraph) as caught:
        read(written("3 2\n0 1 2\n0 7 0.5\n"))
    assert "from 0 to 2, as the header says (1 bad, line 3)" in str(caught.value)
    assert "from 0 to 1 (1 bad, line 2)" in str(caught.value)


def test_files_that_are_none(written, tmp_path):
    with pytest.raises(InvalidGraph, match="file that exists"):
        read(tmp_path / "missing.txt")
    for text in ("# nothing\n\n", "# nothing\n", "", "\n"):
        with pytest.raises(InvalidGraph, match="none but comments"):
            read(written(text))
    with pytest.raises(InvalidGraph, match="must be whole"):
        read(written(gzip.compress(b"1 2\n2 3\n" * 1000)[:-20]))
    with pytest.raises(InvalidGraph, match="UTF-8"):
        read(written(b"\xff\xfe1"))
    with pytest.raises(InvalidGraph, match="at least two fields"):
        read(written("1\n2\n"))
    with pytest.raises(InvalidGraph, match="edges, headed, metis"):
        read(written("1 2\n"), format="gml")
