package org.kerasfastvit.demo.core

/** A rectangle of pixels: columns from [left], rows from [top]. */
internal class Region {
    var left = 0
    var top = 0
    var width = 0
    var height = 0

    fun set(
        left: Int,
        top: Int,
        width: Int,
        height: Int,
    ) {
        this.left = left
        this.top = top
        this.width = width
        this.height = height
    }

    /**
     * Makes this the part of an image that [orientation] turns into [upright].
     *
     * @param width Of the image before turning.
     * @param height Of the image before turning.
     */
    fun setBeforeTurning(
        upright: Region,
        orientation: Orientation,
        width: Int,
        height: Int,
    ) {
        val turnedWidth = if (orientation.swapsSides) height else width
        val left =
            if (orientation.mirrored) {
                turnedWidth - upright.left - upright.width
            } else {
                upright.left
            }
        val right = left + upright.width
        val bottom = upright.top + upright.height
        when (orientation.degrees) {
            0 -> set(left, upright.top, upright.width, upright.height)
            90 -> set(upright.top, height - right, upright.height, upright.width)
            180 -> set(width - right, height - bottom, upright.width, upright.height)
            else -> set(width - bottom, left, upright.height, upright.width)
        }
    }
}
