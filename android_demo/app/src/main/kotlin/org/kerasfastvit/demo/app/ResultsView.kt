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
    private var announced: String? = null

    fun show(results: List<Result>) {
        while (list.childCount < results.size) inflater.inflate(R.layout.result, list)
        for (place in 0 until list.childCount) {
            val line = list.getChildAt(place)
            line.visibility = if (place < results.size) View.VISIBLE else View.GONE
            if (place < results.size) show(line, results[place])
        }
        val best = results.firstOrNull()?.name
        if (best != announced) {
            announced = best
            list.contentDescription = best
        }
    }

    private fun show(
        line: View,
        result: Result,
    ) {
        val percent = PERCENT * result.score
        (line.findViewById(R.id.label) as TextView).text = result.name
        (line.findViewById(R.id.probability) as TextView).text =
            line.resources.getString(R.string.probability, percent)
        (line.findViewById(R.id.bar) as ProgressBar).progress = percent.toInt()
    }

    private companion object {
        const val PERCENT = 100f
    }
}
