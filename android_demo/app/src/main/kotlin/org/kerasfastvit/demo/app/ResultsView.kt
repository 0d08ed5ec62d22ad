package org.kerasfastvit.demo.app

import android.view.LayoutInflater
import android.view.View
import android.widget.LinearLayout
import android.widget.ProgressBar
import android.widget.TextView
import org.kerasfastvit.demo.R
import org.kerasfastvit.demo.core.Result

/**
 * A line for each result: bar, label and probability.
 *
 * A screen reader hears the best class when it changes, not every frame.
 */
class ResultsView(
    private val list: LinearLayout,
    private val inflater: LayoutInflater,
) {
    fun show(results: List<Result>) {
        while (list.childCount < results.size) add()
        for (place in 0 until list.childCount) {
            val line = list.getChildAt(place)
            line.visibility = if (place < results.size) View.VISIBLE else View.GONE
            if (place < results.size) show(line, results[place])
        }
    }

    private fun add() {
        inflater.inflate(R.layout.result, list)
        val isBest = list.childCount == 1
        if (isBest) label(list.getChildAt(0)).accessibilityLiveRegion = POLITE
    }

    private fun label(line: View) = line.findViewById(R.id.label) as TextView

    private fun show(
        line: View,
        result: Result,
    ) {
        val percent = PERCENT * result.score
        val label = label(line)
        if (label.text.toString() != result.name) label.text = result.name
        (line.findViewById(R.id.probability) as TextView).text =
            line.resources.getString(R.string.probability, percent)
        (line.findViewById(R.id.bar) as ProgressBar).progress = percent.toInt()
    }

    private companion object {
        const val PERCENT = 100f
        const val POLITE = View.ACCESSIBILITY_LIVE_REGION_POLITE
    }
}
