"""A text file with the names of classes."""

import pytest

from keras_fastvit.images.labels import check_labels, read_labels

pytestmark = pytest.mark.single_backend


@pytest.mark.parametrize(
    "content",
    ["cat\nKönig\nred fox", "cat\r\nKönig \r\nred fox\r\n", "\ufeffcat\nKönig\nred fox\n\n"],
)
def test_one_name_a_line(tmp_path, content):
    (tmp_path / "names.txt").write_bytes(content.encode())
    assert read_labels(tmp_path / "names.txt") == ["cat", "König", "red fox"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"cat\n\nfox\n", "line 2 of 3 is empty"), (b"K\xf6nig\n", "UTF-8.*invalid start byte")],
)
def test_no_labels(tmp_path, content, message):
    (tmp_path / "names.txt").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_labels(tmp_path / "names.txt")


@pytest.mark.parametrize("sign", ["\x1b", "\0", "\t", "\x0b", "\x85", "\u2028", "\u2029", "\u202e"])
def test_what_would_steer_a_terminal_or_count_as_two_is_no_label(tmp_path, sign):
    (tmp_path / "names.txt").write_bytes(f"dog\ncat{sign}fox\n".encode())
    with pytest.raises(ValueError, match=r"names.txt' as labels.*Received: 'cat\\.*fox'$"):
        read_labels(tmp_path / "names.txt")
    with pytest.raises(ValueError, match=r"one line of Unicode text.*Received: 'cat\\.*fox'$"):
        check_labels(["dog", f"cat{sign}fox"], (1, 2))


def test_a_label_that_is_too_long():
    check_labels(["x" * 1000, "Persian \u200c, 👩\u200d🚒"], (1, 2))
    with pytest.raises(ValueError, match="at most 1000 characters"):
        check_labels(["x" * 1001, "y"], (1, 2))


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        read_labels(tmp_path / "no.txt")
    with pytest.raises(FileNotFoundError, match="a folder"):
        read_labels(tmp_path)


def test_one_for_each_class():
    check_labels(["cat", "dog"], (1, 2))
    with pytest.raises(ValueError, match="Received: 2 labels for 3 classes"):
        check_labels(["cat", "dog"], (1, 3))
    with pytest.raises(
        ValueError, match=r"Received: 2 labels for an output of shape \(1, 2, 2, 2\)"
    ):
        check_labels(["cat", "dog"], (1, 2, 2, 2))


def test_one_for_each_class_of_the_pixels():
    check_labels(["cat", "dog"], (1, 2), of_pixels=True)
    check_labels(["cat", "dog"], (1, 8, 4, 2), of_pixels=True)
    with pytest.raises(ValueError, match="Received: 2 labels for 3 classes"):
        check_labels(["cat", "dog"], (1, 2, 2, 3), of_pixels=True)
    with pytest.raises(ValueError, match=r"of its pixels.* for an output of shape \(1, 8, 2\)"):
        check_labels(["cat", "dog"], (1, 8, 2), of_pixels=True)
