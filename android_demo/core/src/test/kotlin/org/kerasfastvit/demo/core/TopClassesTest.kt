package org.kerasfastvit.demo.core

import kotlin.random.Random
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith

class TopClassesTest {
    private val top = TopClasses(10)

    private fun ranked(
        scores: FloatArray,
        wanted: Int,
        threshold: Float = 0f,
    ): List<Pair<Int, Float>> {
        top.rank(scores, wanted, threshold)
        return List(top.count) { top.label(it) to top.score(it) }
    }

    @Test
    fun `ranks as a stable sort does, with many ties`() {
        val random = Random(8)
        repeat(2_000) {
            val scores = FloatArray(random.nextInt(1, 30)) { random.nextInt(5) / 4f }
            val wanted = random.nextInt(1, 11)
            val threshold = random.nextInt(5) / 4f
            val expected =
                scores
                    .withIndex()
                    .filter { it.value >= threshold }
                    .sortedByDescending { it.value }
                    .take(wanted)
                    .map { it.index to it.value }
            assertEquals(expected, ranked(scores, wanted, threshold))
        }
    }

    @Test
    fun `equal scores stay in the order of their labels`() {
        assertEquals(listOf(1, 3, 0), ranked(floatArrayOf(1f, 2f, 1f, 2f), 3).map { it.first })
    }

    @Test
    fun `NaN is never ranked`() {
        val scores = floatArrayOf(Float.NaN, 0.5f, Float.NaN)
        assertEquals(listOf(1 to 0.5f), ranked(scores, 3))
    }

    @Test
    fun `only what there is can be asked for`() {
        assertEquals(1, ranked(floatArrayOf(1f), 10).size)
        assertFailsWith<IllegalArgumentException> { top.label(1) }
        assertFailsWith<IllegalArgumentException> { top.rank(FloatArray(3), 0, 0f) }
        assertFailsWith<IllegalArgumentException> { top.rank(FloatArray(3), 11, 0f) }
    }
}
