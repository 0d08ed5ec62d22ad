package org.kerasfastvit.demo.core

import kotlin.random.Random
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue

class TimeTest {
    private val second = 1_000_000_000L

    @Test
    fun `after a half-life, half the way is gone, in however many frames`() {
        for (frames in listOf(1, 3, 30)) {
            val smoothing = Smoothing(2, halfLife = 0.5f)
            smoothing.add(floatArrayOf(0f, 1f), 0)
            repeat(frames) { smoothing.add(floatArrayOf(1f, 0f), second / 2 * (it + 1) / frames) }
            assertEquals(0.5f, smoothing.values[0], 1e-5f)
            assertEquals(0.5f, smoothing.values[1], 1e-5f)
        }
    }

    @Test
    fun `the first scores are taken as they are, after a reset too`() {
        val smoothing = Smoothing(1, halfLife = 1f)
        smoothing.add(floatArrayOf(3f), 5)
        assertEquals(3f, smoothing.values[0])
        smoothing.reset()
        smoothing.add(floatArrayOf(7f), 5)
        assertEquals(7f, smoothing.values[0])
        smoothing.add(floatArrayOf(0f), 1)
        assertEquals(7f, smoothing.values[0], "no time has passed")
    }

    @Test
    fun `without a half-life nothing is smoothed`() {
        val smoothing = Smoothing(1, halfLife = 0f)
        for (value in listOf(1f, 5f, 2f)) {
            smoothing.add(floatArrayOf(value), 0)
            assertEquals(value, smoothing.values[0])
        }
        assertFailsWith<IllegalArgumentException> { Smoothing(1, halfLife = -1f) }
        assertFailsWith<IllegalArgumentException> { smoothing.add(FloatArray(2), 0) }
    }

    @Test
    fun `scores that sum to one still do`() {
        val random = Random(9)
        val smoothing = Smoothing(4, halfLife = 0.2f)
        repeat(100) { frame ->
            val scores = FloatArray(4) { random.nextFloat() }
            val sum = scores.sum()
            smoothing.add(FloatArray(4) { scores[it] / sum }, frame * second / 30)
            assertEquals(1f, smoothing.values.sum(), 1e-5f)
        }
    }

    @Test
    fun `percentiles are times that frames took, by nearest rank`() {
        val statistics = LatencyStatistics(100)
        for (i in (1..100L).shuffled(Random(10))) {
            statistics.add(i * 1_000_000, 2 * i * 1_000_000, 0, i)
        }
        assertEquals(50.0, statistics.percentile(50.0, Phase.PREPROCESSING))
        assertEquals(180.0, statistics.percentile(90.0, Phase.INFERENCE))
        assertEquals(0.0, statistics.percentile(90.0, Phase.POSTPROCESSING))
        assertEquals(270.0, statistics.percentile(90.0))
        assertEquals(300.0, statistics.percentile(100.0))
        assertEquals(3.0, statistics.percentile(0.1))
    }

    @Test
    fun `of four frames the slowest is the ninetieth percentile`() {
        val statistics = LatencyStatistics(10)
        for (i in 1..4L) statistics.add(i * 1_000_000, 0, 0, i)
        assertEquals(4.0, statistics.percentile(90.0))
        assertEquals(2.0, statistics.percentile(50.0))
    }

    @Test
    fun `only the last frames are remembered`() {
        val statistics = LatencyStatistics(3)
        for (i in 1..10L) statistics.add(i * 1_000_000, 0, 0, i * second / i.coerceAtMost(8))
        assertEquals(3, statistics.count)
        assertEquals(8.0, statistics.percentile(1.0))
        assertEquals(10.0, statistics.percentile(100.0))
    }

    @Test
    fun `frames a second are those between the first and the last`() {
        val statistics = LatencyStatistics(5)
        assertTrue(statistics.framesPerSecond.isNaN())
        assertTrue(statistics.percentile(50.0).isNaN())
        statistics.add(0, 0, 0, 7 * second)
        assertTrue(statistics.framesPerSecond.isNaN())
        for (i in 1..20) {
            statistics.add(0, 0, 0, 7 * second + i * second / 25)
            assertEquals(25.0, statistics.framesPerSecond, 1e-6)
        }
        statistics.reset()
        assertEquals(0, statistics.count)
        assertTrue(statistics.framesPerSecond.isNaN())
    }
}
