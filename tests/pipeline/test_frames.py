"""Tables in memory: the same rows, order and index, with predictions as further columns."""

from __future__ import annotations

import numpy as np
import pandas
import pyarrow
import pytest

from emofuse.errors import DataError
from emofuse.pipeline.tables import ADDED

ROWS = {"comment": ["i am so happy", None, "this is terrible"], "stars": [5, 3, 1]}


def test_a_data_frame_comes_back_with_its_index_and_predictions(pipeline):
    frame = pandas.DataFrame(ROWS, index=["x", "y", "x"])
    before = frame.copy()
    found = pipeline.predict_table(frame, "comment")
    pandas.testing.assert_frame_equal(frame, before)
    pandas.testing.assert_frame_equal(found[["comment", "stars"]], before)
    assert list(found.columns) == ["comment", "stars", *(f"predicted_{name}" for name in ADDED)]
    alone = pipeline(text=ROWS["comment"][0]).overall
    assert found["predicted_joy"].dtype == float
    np.testing.assert_allclose(found["predicted_joy"].iloc[0], alone.emotions["joy"], atol=1e-5)
    assert found["predicted_emotion"].tolist()[0] == alone.top[0] and found["predicted_emotion"].tolist()[1] is None
    assert found["predicted_error"].tolist()[0] is None and found["predicted_error"].tolist()[1]


def test_an_arrow_table_comes_back_as_one_with_types(pipeline):
    table = pyarrow.table(ROWS | {"who": ["a", "b", "a"], "talk": ["t", "t", "t"]})
    found = pipeline.predict_table(table, "comment", speaker="who", dialogue="talk", prefix="p_")
    assert found.select(table.column_names).equals(table)
    assert found.schema.field("p_joy").type == pyarrow.float64()
    assert found.schema.field("p_others").type == found.schema.field("p_error").type == pyarrow.string()
    last = pipeline(text=ROWS["comment"][2], speaker="a", context=["a: i am so happy"]).overall
    np.testing.assert_allclose(found["p_joy"][2].as_py(), last.emotions["joy"], atol=1e-5)
    empty = pipeline.predict_table(table.slice(0, 0), "comment")
    assert empty.num_rows == 0 and "predicted_joy" in empty.column_names


def test_other_tables_and_columns_are_refused(pipeline):
    with pytest.raises(DataError, match=r"not list; of polars take to_arrow\(\)"):
        pipeline.predict_table([{"comment": "x"}], "comment")
    with pytest.raises(DataError, match=r"no column 'coment'; did you mean 'comment'\?"):
        pipeline.predict_table(pandas.DataFrame(ROWS), "coment")
    with pytest.raises(DataError, match="each once"):
        pipeline.predict_table(pandas.DataFrame([["a", "b"]], columns=["c", "c"]), "c")
    with pytest.raises(DataError, match="give another prefix"):
        pipeline.predict_table(pandas.DataFrame({"t": ["a"], "predicted_joy": [0.1]}), "t")
