package org.kerasfastvit.demo.core

import kotlin.math.abs
import kotlin.random.Random
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertNotEquals
import kotlin.test.assertTrue

class GeometryTest {
    private val random = Random(3)

    private fun randomImage() = noise(random, random.nextInt(1, 24), random.nextInt(1, 24)).toRgb()

    @Test
    fun `four quarter turns are none`() {
        repeat(50) {
            val image = randomImage()
            val turned = (1..4).fold(image) { turned, _ -> turned.turned(Orientation(90)) }
            assertEquals(image.pixels(), turned.pixels())
        }
    }

    @Test
    fun `a quarter turn goes clockwise`() {
        val image = RgbImage()
        image.fillFromArgb(intArrayOf(1, 2, 3, 4, 5, 6), 3, 2, Orientation(90))
        assertEquals(listOf(4, 1, 5, 2, 6, 3), image.pixels())
        assertEquals(2 to 3, image.width to image.height)
    }

    @Test
    fun `mirroring swaps left and right of the upright picture, twice is none`() {
        val mirror = Orientation(0, mirrored = true)
        repeat(50) {
            val image = randomImage()
            val mirrored = image.turned(mirror)
            assertEquals(
                image.pixels().chunked(image.width).map { it.reversed() },
                mirrored.pixels().chunked(image.width),
            )
            assertEquals(image.pixels(), mirrored.turned(mirror).pixels())
        }
    }

    @Test
    fun `orientations compose as their pictures do`() {
        val frame = noise(random, 5, 4)
        for (first in ALL_ORIENTATIONS) {
            for (second in ALL_ORIENTATIONS) {
                assertEquals(
                    frame.toRgb(first).turned(second).pixels(),
                    frame.toRgb(first.then(second)).pixels(),
                    "$first, then $second",
                )
            }
        }
    }

    @Test
    fun `each EXIF value lays one picture upright`() {
        // Where the first row and the first column of the file are in the picture, by EXIF 2.3.
        val pixels = intArrayOf(1, 2, 3, 4, 5, 6)
        val expected =
            mapOf(
                1 to listOf(1, 2, 3, 4, 5, 6),
                2 to listOf(3, 2, 1, 6, 5, 4),
                3 to listOf(6, 5, 4, 3, 2, 1),
                4 to listOf(4, 5, 6, 1, 2, 3),
                5 to listOf(1, 4, 2, 5, 3, 6),
                6 to listOf(4, 1, 5, 2, 6, 3),
                7 to listOf(6, 3, 5, 2, 4, 1),
                8 to listOf(3, 6, 2, 5, 1, 4),
                0 to listOf(1, 2, 3, 4, 5, 6),
                9 to listOf(1, 2, 3, 4, 5, 6),
            )
        for ((tag, upright) in expected) {
            val image = RgbImage()
            image.fillFromArgb(pixels, 3, 2, Orientation.ofExif(tag))
            assertEquals(upright, image.pixels(), "EXIF orientation $tag")
        }
    }

    @Test
    fun `the crop is centered, within the resized image, and keeps its share`() {
        repeat(5_000) {
            val (imageWidth, imageHeight) = List(2) { random.nextInt(2, 4000) }
            val (width, height) = List(2) { random.nextInt(8, 300) }
            val square = it % 2 == 0
            val cropHeight = if (square) width else height
            val cropPct = random.nextDouble(0.5, 1.0)
            val crop = CropGeometry(imageWidth, imageHeight, width, cropHeight, cropPct)
            val right = crop.resizedWidth - width - crop.left
            val bottom = crop.resizedHeight - cropHeight - crop.top
            val text = "$imageWidth x $imageHeight, $width x $cropHeight, $cropPct"
            assertTrue(minOf(crop.left, crop.top, right, bottom) >= 0, text)
            assertTrue(abs(crop.left - right) <= 1 && abs(crop.top - bottom) <= 1, text)
            val shares =
                listOf(
                    width.toDouble() / crop.resizedWidth,
                    cropHeight.toDouble() / crop.resizedHeight,
                )
            assertTrue(shares.max() >= cropPct - 1e-9, text)
        }
    }

    @Test
    fun `margins of an odd number of pixels go to the even side`() {
        // Python's rounding: 2.5 is 2, 3.5 is 4.
        assertEquals(2, CropGeometry(69, 64, 64, 64, 1.0).left)
        assertEquals(4, CropGeometry(71, 64, 64, 64, 1.0).left)
    }

    @Test
    fun `what is out of range is refused`() {
        assertFailsWith<IllegalArgumentException> { CropGeometry(0, 5, 4, 4, 1.0) }
        assertFailsWith<IllegalArgumentException> { CropGeometry(5, 5, 4, 4, 0.0) }
        assertFailsWith<IllegalArgumentException> { CropGeometry(5, 5, 4, 4, Double.NaN) }
        assertFailsWith<IllegalArgumentException> { Orientation(45) }
    }

    @Test
    fun `an image of one color keeps it in every size`() {
        for (interpolation in Interpolation.entries) {
            for ((width, height) in listOf(100 to 80, 33 to 200, 17 to 19, 64 to 64)) {
                val color = random.nextInt(1 shl 24)
                val image = RgbImage()
                image.fillFromArgb(
                    IntArray(width * height) { color },
                    width,
                    height,
                    Orientation.UPRIGHT,
                )
                val pipeline =
                    FramePreprocessor(inputDescription(48, 40, interpolation = interpolation))
                pipeline.prepare(image)
                assertEquals(setOf(color), pipeline.crop.pixels().toSet())
            }
        }
    }

    @Test
    fun `an image of the crop's own size is left as it is`() {
        val image = noise(random, 40, 48).toRgb()
        val pipeline = FramePreprocessor(inputDescription(48, 40, cropPct = 1.0))
        pipeline.prepare(image)
        assertEquals(image.pixels(), pipeline.crop.pixels())
    }

    @Test
    fun `a frame gives what the same picture gives, in every orientation`() {
        val frame = noise(random, 90, 61, YuvLayout.I420, rowStride = 101)
        val results =
            ALL_ORIENTATIONS.map { orientation ->
                val ofFrame = FramePreprocessor(inputDescription())
                val ofPicture = FramePreprocessor(inputDescription())
                ofFrame.prepare(frame, orientation)
                ofPicture.prepare(frame.toRgb(orientation))
                assertEquals(ofPicture.crop.pixels(), ofFrame.crop.pixels(), "$orientation")
                ofFrame.crop.pixels()
            }
        assertEquals(ALL_ORIENTATIONS.size, results.toSet().size)
        assertNotEquals(results[0], results[1])
    }
}
