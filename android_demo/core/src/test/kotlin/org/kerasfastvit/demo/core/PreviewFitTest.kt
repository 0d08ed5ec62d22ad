package org.kerasfastvit.demo.core

import kotlin.math.abs
import kotlin.math.cos
import kotlin.math.sin
import kotlin.random.Random
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue

class PreviewFitTest {
    private val random = Random(14)

    /** Where the fit puts a point of the picture, `x`, `y` in 0..1 of the upright, unturned one. */
    private fun PreviewFit.place(
        x: Double,
        y: Double,
        viewWidth: Int,
        viewHeight: Int,
    ): Pair<Double, Double> {
        // As `TextureView` lays it: stretched over the view, about its centre.
        val fromX = (x - 0.5) * viewWidth * scaleX
        val fromY = (y - 0.5) * viewHeight * scaleY
        val angle = Math.toRadians(degrees.toDouble())
        val toX = scale * (fromX * cos(angle) - fromY * sin(angle))
        val toY = scale * (fromX * sin(angle) + fromY * cos(angle))
        return toX + viewWidth / 2.0 to toY + viewHeight / 2.0
    }

    @Test
    fun `in every orientation and window the picture keeps its proportions, whole and centered`() {
        repeat(2_000) {
            val (viewWidth, viewHeight) = List(2) { random.nextInt(50, 3000) }
            val (frameWidth, frameHeight) = List(2) { random.nextInt(100, 2000) }
            val sensor = 90 * random.nextInt(4)
            val display = 90 * random.nextInt(4)
            val text = "$frameWidth x $frameHeight, $sensor, $display in $viewWidth x $viewHeight"
            val fit =
                PreviewFit(viewWidth, viewHeight, frameWidth, frameHeight, sensor, display)
            val corners =
                listOf(0.0 to 0.0, 1.0 to 0.0, 1.0 to 1.0, 0.0 to 1.0).map { (x, y) ->
                    fit.place(x, y, viewWidth, viewHeight)
                }
            val width = corners.maxOf { it.first } - corners.minOf { it.first }
            val height = corners.maxOf { it.second } - corners.minOf { it.second }
            // Upright on the display as it is held.
            val swapped = (sensor - display) % 180 != 0
            val expected =
                if (swapped) {
                    frameHeight.toDouble() / frameWidth
                } else {
                    frameWidth.toDouble() /
                        frameHeight
                }
            assertEquals(expected, width / height, expected * 1e-4, text)
            assertTrue(width <= viewWidth + 0.1 && height <= viewHeight + 0.1, text)
            val fills = abs(width - viewWidth) < 0.1 || abs(height - viewHeight) < 0.1
            assertTrue(fills, text)
            assertEquals(viewWidth / 2.0, corners.sumOf { it.first } / 4, 0.1, text)
            assertEquals(viewHeight / 2.0, corners.sumOf { it.second } / 4, 0.1, text)
        }
    }

    @Test
    fun `the picture's top is up, however the display is turned`() {
        for (display in listOf(0, 90, 180, 270)) {
            val (width, height) = if (display % 180 == 0) 1080 to 2000 else 2000 to 1080
            val fit = PreviewFit(width, height, 1280, 720, 90, display)
            // Of the picture as the unturned display would show it, this side is up now.
            val up =
                mapOf(
                    0 to (0.5 to 0.0),
                    90 to (1.0 to 0.5),
                    180 to (0.5 to 1.0),
                    270 to (0.0 to 0.5),
                )
            val (x, y) = up.getValue(display)
            val (toX, toY) = fit.place(x, y, width, height)
            assertEquals(width / 2.0, toX, 0.1, "$display")
            assertTrue(toY < height / 2.0, "$display")
        }
    }

    @Test
    fun `a camera's frame is turned as Android says`() {
        // CameraCharacteristics.SENSOR_ORIENTATION: back cameras mostly 90, front ones 270.
        val back = mapOf(0 to 90, 90 to 0, 180 to 270, 270 to 180)
        val front = mapOf(0 to 270, 90 to 0, 180 to 90, 270 to 180)
        for ((display, degrees) in back) {
            assertEquals(Orientation(degrees), Orientation.ofCamera(90, display, Facing.BACK))
        }
        for ((display, degrees) in front) {
            val expected = Orientation(degrees, mirrored = true)
            assertEquals(expected, Orientation.ofCamera(270, display, Facing.FRONT))
        }
    }

    @Test
    fun `a view without area is refused`() {
        assertFailsWith<IllegalArgumentException> { PreviewFit(0, 9, 9, 9, 0, 0) }
    }
}
