package org.kerasfastvit.demo.core

import kotlin.math.pow

/**
 * Exponential smoothing of scores over time, so that the list on the screen does not flicker.
 *
 * After `t` seconds, `s ← s + (1 − 0.5^(t / halfLife)) (x − s)`: how fast it follows does not depend
 * on the frame rate.
 *
 * @param classes Number of scores.
 * @param halfLife Seconds after which what was seen counts half; 0 switches smoothing off.
 */
public class Smoothing(
    classes: Int,
    private val halfLife: Float,
) {
    /** The smoothed scores. */
    public val values: FloatArray = FloatArray(classes)

    private var empty = true
    private var lastNanoseconds = 0L

    init {
        expect(halfLife >= 0 && halfLife.isFinite(), { "halfLife >= 0" }, { "$halfLife" })
    }

    /** Forgets everything: another model, another camera, another picture. */
    public fun reset() {
        empty = true
    }

    /**
     * Adds the scores of a frame.
     *
     * @param nanoseconds When the frame was taken, on any clock that does not go back; a time before
     *     the last one counts as the last one.
     */
    public fun add(
        scores: FloatArray,
        nanoseconds: Long,
    ) {
        expect(
            scores.size == values.size,
            { "${values.size} scores" },
            { "${scores.size}" },
        )
        if (empty || halfLife == 0f) {
            scores.copyInto(values)
            lastNanoseconds = nanoseconds
            empty = false
            return
        }
        val seconds = maxOf(nanoseconds - lastNanoseconds, 0L) / 1e9
        val share = (1.0 - 0.5.pow(seconds / halfLife)).toFloat()
        for (i in values.indices) values[i] += share * (scores[i] - values[i])
        lastNanoseconds = maxOf(nanoseconds, lastNanoseconds)
    }
}
