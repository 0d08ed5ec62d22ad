package org.kerasfastvit.demo.app

import android.content.res.Resources
import org.kerasfastvit.demo.R
import org.kerasfastvit.demo.core.LatencyStatistics
import org.kerasfastvit.demo.core.Phase

/** Latencies in words and numbers, in the user's language. */
class LatencyText(
    private val resources: Resources,
) {
    /**
     * One line for each phase, one for their sum, one for the frames a second; nothing as long as
     * there is no frame.
     */
    fun of(latencies: LatencyStatistics): String {
        if (latencies.count == 0) return ""
        val lines =
            listOf(
                R.string.preprocessing to Phase.PREPROCESSING,
                R.string.inference to Phase.INFERENCE,
                R.string.postprocessing to Phase.POSTPROCESSING,
                R.string.total to null,
            ).map { (name, phase) ->
                resources.getString(
                    R.string.latency_line,
                    resources.getString(name),
                    latencies.percentile(50.0, phase),
                    latencies.percentile(90.0, phase),
                )
            }
        val rate = latencies.framesPerSecond
        val last = if (rate.isNaN()) null else resources.getString(R.string.frame_rate, rate)
        return (lines + listOfNotNull(last)).joinToString("\n")
    }
}
