package org.kerasfastvit.demo.core

import java.nio.ByteBuffer
import kotlin.math.abs
import kotlin.math.roundToInt
import kotlin.random.Random
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue

class YuvTest {
    private val random = Random(1)

    private fun oneColor(
        y: Int,
        u: Int,
        v: Int,
        range: YuvRange,
    ): List<Int> {
        val memory = ByteBuffer.wrap(byteArrayOf(y.toByte(), u.toByte(), v.toByte()))
        val image = YuvFrame.of(YuvLayout.I420, memory, 1, 1, 1, range).toRgb()
        return image.bytes.map { it.toInt() and 255 }
    }

    @Test
    fun `black, white and the primaries are as BT 601 says`() {
        assertEquals(listOf(0, 0, 0), oneColor(0, 128, 128, YuvRange.FULL))
        assertEquals(listOf(255, 255, 255), oneColor(255, 128, 128, YuvRange.FULL))
        assertEquals(listOf(254, 0, 0), oneColor(76, 85, 255, YuvRange.FULL))
        assertEquals(listOf(0, 0, 0), oneColor(16, 128, 128, YuvRange.LIMITED))
        assertEquals(listOf(255, 255, 255), oneColor(235, 128, 128, YuvRange.LIMITED))
        assertEquals(listOf(254, 0, 0), oneColor(81, 90, 240, YuvRange.LIMITED))
    }

    @Test
    fun `every color is within one step of the exact equations`() {
        for (range in YuvRange.entries) {
            val full = range == YuvRange.FULL
            val luma = if (full) 1.0 else 255.0 / 219
            val chroma = if (full) 1.0 else 255.0 / 224
            repeat(20_000) {
                val (y, u, v) = List(3) { random.nextInt(256) }
                val light = luma * (y - if (full) 0 else 16)
                val blueness = chroma * (u - 128)
                val redness = chroma * (v - 128)
                val green = 2 * (0.886 * 0.114 * blueness + 0.701 * 0.299 * redness) / 0.587
                val exact = listOf(light + 1.402 * redness, light - green, light + 1.772 * blueness)
                oneColor(y, u, v, range).zip(exact) { received, value ->
                    val expected = value.roundToInt().coerceIn(0, 255)
                    assertTrue(abs(received - expected) <= 1, "$range $y $u $v: $received, $exact")
                }
            }
        }
    }

    @Test
    fun `a data space says which range it is`() {
        // DATASPACE_UNKNOWN, _JFIF, _BT601_625, _BT709, _SRGB.
        val ranges =
            mapOf(
                0 to YuvRange.FULL,
                146_931_712 to YuvRange.FULL,
                281_149_440 to YuvRange.LIMITED,
                281_083_904 to YuvRange.LIMITED,
                142_671_872 to YuvRange.FULL,
            )
        for ((space, range) in ranges) assertEquals(range, YuvRange.ofDataSpace(space), "$space")
    }

    @Test
    fun `the three layouts hold the same picture`() {
        for ((width, height) in listOf(8 to 6, 7 to 5, 1 to 1, 2 to 9)) {
            val stride = width + 3
            val half = (stride + 1) / 2
            val rows = (height + 1) / 2
            val luma = random.nextBytes(stride * height)
            val u = random.nextBytes(half * rows)
            val v = random.nextBytes(half * rows)
            val mixed = { first: ByteArray, second: ByteArray ->
                luma +
                    ByteArray(2 * half * rows) {
                        if (it % 2 ==
                            0
                        ) {
                            first[it / 2]
                        } else {
                            second[it / 2]
                        }
                    }
            }
            val memories =
                mapOf(
                    YuvLayout.I420 to luma + u + v,
                    YuvLayout.NV12 to mixed(u, v),
                    YuvLayout.NV21 to mixed(v, u),
                )
            val pictures =
                memories.map { (layout, bytes) ->
                    YuvFrame
                        .of(
                            layout,
                            ByteBuffer.wrap(bytes),
                            width,
                            height,
                            stride,
                        ).toRgb()
                        .pixels()
                }
            assertEquals(1, pictures.toSet().size, "$width x $height")
        }
    }

    @Test
    fun `gaps between samples and between rows are never seen`() {
        val plain = noise(Random(2), 10, 8).toRgb().pixels()
        val source = noise(Random(2), 10, 8)
        val frame = YuvFrame()
        val planes = listOf(source.y to frame.y, source.u to frame.u, source.v to frame.v)
        planes.forEachIndexed { i, (from, to) ->
            val (width, height) = if (i == 0) 10 to 8 else 5 to 4
            val (pixelStride, rowStride) = 3 to 3 * width + 5
            val memory = ByteBuffer.allocateDirect((height - 1) * rowStride + (width - 1) * 3 + 1)
            memory.put(random.nextBytes(memory.capacity()))
            val row = ByteArray(2 * width)
            for (y in 0 until height) {
                from.copyRow(y, 0, width, row)
                for (x in 0 until width) {
                    memory.put(y * rowStride + x * pixelStride, row[x * from.pixelStride])
                }
            }
            to.point(memory, rowStride, pixelStride)
        }
        frame.describe(10, 8, YuvRange.FULL)
        assertEquals(plain, frame.toRgb().pixels())
    }

    @Test
    fun `a part is that part of the whole, in every orientation`() {
        repeat(200) {
            val (width, height) = List(2) { random.nextInt(1, 20) }
            val frame = noise(random, width, height)
            val orientation = ALL_ORIENTATIONS.random(random)
            val whole = frame.toRgb(orientation)
            val upright = Region()
            val left = random.nextInt(whole.width)
            val top = random.nextInt(whole.height)
            upright.set(
                left,
                top,
                random.nextInt(1, whole.width - left + 1),
                random.nextInt(1, whole.height - top + 1),
            )
            val part = Region()
            part.setBeforeTurning(upright, orientation, width, height)
            val image = RgbImage()
            YuvToRgb().convert(frame, orientation, part, image)
            val expected =
                List(upright.height * upright.width) {
                    val row = top + it / upright.width
                    whole.pixels()[row * whole.width + left + it % upright.width]
                }
            assertEquals(expected, image.pixels(), "$width x $height $orientation")
        }
    }

    @Test
    fun `planes that do not fit are refused by name`() {
        val plane = { bytes: Int -> ByteBuffer.allocate(bytes) }
        val cases =
            mapOf(
                "plane Y" to listOf(plane(63), 8, 1, plane(16), 4, 1),
                "row stride" to listOf(plane(64), 7, 1, plane(16), 4, 1),
                "plane U" to listOf(plane(64), 8, 1, plane(15), 4, 1),
                "pixel stride" to listOf(plane(64), 8, 0, plane(16), 4, 1),
            )
        for ((name, case) in cases) {
            val frame = YuvFrame()
            frame.y.point(case[0] as ByteBuffer, case[1] as Int, case[2] as Int)
            frame.u.point(case[3] as ByteBuffer, case[4] as Int, case[5] as Int)
            frame.v.point(plane(16), 4, 1)
            val error =
                assertFailsWith<IllegalArgumentException>(name) {
                    frame.describe(8, 8, YuvRange.FULL)
                }
            assertContains(error.message!!, name)
            assertContains(error.message!!, "Received: ")
        }
    }

    @Test
    fun `planes of any size and stride are refused or read, never a crash`() {
        val pipeline = FramePreprocessor(inputDescription(8, 8))
        val strides = listOf(Int.MIN_VALUE, -1, 0, 1, 2, 3, 7, 8, 9, 16, 1 shl 20, Int.MAX_VALUE)
        var read = 0
        repeat(50_000) {
            val frame = YuvFrame()
            for (plane in listOf(frame.y, frame.u, frame.v)) {
                // Half of them plausible, so that some frames are read.
                val (row, pixel) =
                    if (random.nextBoolean()) {
                        8 to random.nextInt(1, 3)
                    } else {
                        strides.random(random) to strides.random(random)
                    }
                plane.point(ByteBuffer.allocate(random.nextInt(100)), row, pixel)
            }
            try {
                frame.describe(random.nextInt(-1, 9), random.nextInt(-1, 9), YuvRange.FULL)
                pipeline.prepare(frame, ALL_ORIENTATIONS.random(random))
                read++
            } catch (error: IllegalArgumentException) {
                assertContains(error.message!!, "Received: ")
            }
        }
        assertTrue(read > 500, "$read")
    }
}
