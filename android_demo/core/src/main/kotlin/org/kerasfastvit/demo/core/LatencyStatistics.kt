package org.kerasfastvit.demo.core

import kotlin.math.ceil

/** What the time of a frame is spent on. */
public enum class Phase {
    /** From the camera's planes to the model's input. */
    PREPROCESSING,

    /** The runtime. */
    INFERENCE,

    /** From the model's output to the ranked classes. */
    POSTPROCESSING,
}

/**
 * Latencies of the last frames: percentiles of each phase and of their sum, and frames a second.
 *
 * A ring of fixed size; adding a frame and asking allocate nothing.
 *
 * @param capacity Frames that are remembered, at least 2.
 */
public class LatencyStatistics(
    private val capacity: Int = 120,
) {
    private val phases = Array(Phase.entries.size) { LongArray(capacity) }
    private val totals = LongArray(capacity)
    private val ends = LongArray(capacity)
    private val sorted = LongArray(capacity)
    private var next = 0

    /** How many frames are remembered. */
    public var count: Int = 0
        private set

    init {
        expect(capacity >= 2, { "a capacity of at least 2" }, { "$capacity" })
    }

    /** Forgets all frames. */
    public fun reset() {
        count = 0
        next = 0
    }

    /**
     * Adds a frame.
     *
     * @param preprocessing Nanoseconds.
     * @param inference Nanoseconds.
     * @param postprocessing Nanoseconds.
     * @param end When it was finished, in nanoseconds of any clock that does not go back.
     */
    public fun add(
        preprocessing: Long,
        inference: Long,
        postprocessing: Long,
        end: Long,
    ) {
        phases[Phase.PREPROCESSING.ordinal][next] = preprocessing
        phases[Phase.INFERENCE.ordinal][next] = inference
        phases[Phase.POSTPROCESSING.ordinal][next] = postprocessing
        totals[next] = preprocessing + inference + postprocessing
        ends[next] = end
        next = (next + 1) % capacity
        if (count < capacity) count++
    }

    /**
     * A percentile of the time, by nearest rank: a time that a frame really took.
     *
     * @param percent In (0, 100]; 50 for the median.
     * @param phase Null for the three together.
     * @return Milliseconds; NaN if there is no frame.
     */
    public fun percentile(
        percent: Double,
        phase: Phase? = null,
    ): Double {
        expect(percent > 0 && percent <= 100, { "0 < percent <= 100" }, { "$percent" })
        if (count == 0) return Double.NaN
        val times = if (phase == null) totals else phases[phase.ordinal]
        times.copyInto(sorted, 0, 0, count)
        sorted.sort(0, count)
        return sorted[ceil(percent / 100 * count).toInt() - 1] / 1e6
    }

    /** Frames finished in a second, over the remembered ones; NaN if there are fewer than two. */
    public val framesPerSecond: Double
        get() {
            if (count < 2) return Double.NaN
            val last = ends[(next + capacity - 1) % capacity]
            val first = ends[(next + capacity - count) % capacity]
            return if (last > first) (count - 1) * 1e9 / (last - first) else Double.NaN
        }
}
