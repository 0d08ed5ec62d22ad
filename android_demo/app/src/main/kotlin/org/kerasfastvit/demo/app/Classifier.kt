package org.kerasfastvit.demo.app

import android.os.SystemClock
import org.kerasfastvit.demo.core.Accelerator
import org.kerasfastvit.demo.core.Engine
import org.kerasfastvit.demo.core.FramePreprocessor
import org.kerasfastvit.demo.core.LatencyStatistics
import org.kerasfastvit.demo.core.ModelDescription
import org.kerasfastvit.demo.core.Orientation
import org.kerasfastvit.demo.core.Result
import org.kerasfastvit.demo.core.RgbImage
import org.kerasfastvit.demo.core.Scores
import org.kerasfastvit.demo.core.Settings
import org.kerasfastvit.demo.core.Smoothing
import org.kerasfastvit.demo.core.TopClasses
import org.kerasfastvit.demo.core.YuvFrame

/** From an image to ranked classes, with the time that each step took. One thread at a time. */
class Classifier(
    private val engine: Engine,
    val description: ModelDescription,
) : AutoCloseable by engine {
    /** What really runs the model. */
    val accelerator: Accelerator get() = engine.accelerator

    val latencies = LatencyStatistics()
    private val preprocessor = FramePreprocessor(description.input)
    private val scores = Scores(description.output)
    private val smoothing = Smoothing(description.output.classes, HALF_LIFE)
    private val top = TopClasses(Settings.MOST_RESULTS)

    /** Runs the model on what its input holds: the first run takes longer, and may fail. */
    fun warmUp() = engine.run(preprocessor.input, scores)

    /** Classifies a frame; what it shows is smoothed over the frames before. */
    fun classify(
        frame: YuvFrame,
        orientation: Orientation,
        nanoseconds: Long,
    ): List<Result> =
        timed({ preprocessor.prepare(frame, orientation) }) {
            smoothing.add(scores.values, nanoseconds)
            smoothing.values
        }

    /** Classifies a picture by itself. */
    fun classify(picture: RgbImage): List<Result> =
        timed({ preprocessor.prepare(picture) }) { scores.values }

    /** Forgets what was seen: another camera, another source. */
    fun reset() = smoothing.reset()

    private inline fun timed(
        prepare: () -> Unit,
        shown: () -> FloatArray,
    ): List<Result> {
        val start = SystemClock.elapsedRealtimeNanos()
        prepare()
        val prepared = SystemClock.elapsedRealtimeNanos()
        engine.run(preprocessor.input, scores)
        val run = SystemClock.elapsedRealtimeNanos()
        top.rank(shown(), Settings.MOST_RESULTS, Float.NEGATIVE_INFINITY)
        val results =
            List(top.count) { rank ->
                val label = top.label(rank)
                Result(label, description.label(label), top.score(rank))
            }
        val end = SystemClock.elapsedRealtimeNanos()
        latencies.add(prepared - start, run - prepared, end - run, end)
        return results
    }

    private companion object {
        /** Seconds: long enough against flicker, short enough to follow a hand. */
        const val HALF_LIFE = 0.25f
    }
}
