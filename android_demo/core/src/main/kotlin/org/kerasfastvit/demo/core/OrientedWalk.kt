package org.kerasfastvit.demo.core

/**
 * Where the pixels of an image lie in the upright image: a start for each row, and a step.
 *
 * Offsets are in bytes of an [RgbImage], so that turning is part of the loop that writes it.
 */
internal class OrientedWalk {
    private var origin = 0
    private var rowStep = 0

    /** Bytes from a pixel's place to that of the pixel on its right. */
    var step: Int = 0
        private set

    /**
     * Prepares for an image, or for a part of one.
     *
     * @param width Of the image before turning, in pixels.
     * @param height Of the image before turning, in pixels.
     * @param uprightWidth Pixels of a row of the upright image.
     */
    fun over(
        orientation: Orientation,
        width: Int,
        height: Int,
        uprightWidth: Int,
    ) {
        val pixel = 3
        val row = 3 * uprightWidth
        // To the right, down, and the place of the first pixel, without mirroring.
        var right: Int
        var down: Int
        var first: Int
        when (orientation.degrees) {
            0 -> {
                right = pixel
                down = row
                first = 0
            }

            90 -> {
                right = row
                down = -pixel
                first = (height - 1) * pixel
            }

            180 -> {
                right = -pixel
                down = -row
                first = (height - 1) * row + (width - 1) * pixel
            }

            else -> {
                right = -row
                down = pixel
                first = (width - 1) * row
            }
        }
        if (orientation.mirrored) {
            if (orientation.swapsSides) down = -down else right = -right
            val column = first % row
            first += (uprightWidth - 1) * pixel - 2 * column
        }
        origin = first
        step = right
        rowStep = down
    }

    /** Byte of the upright image where the first pixel of row [y] goes. */
    fun start(y: Int): Int = origin + y * rowStep
}
