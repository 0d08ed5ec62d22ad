package org.kerasfastvit.demo.core

/**
 * How an image is turned upright: first clockwise by [degrees], then mirrored left to right.
 *
 * All eight ways in which an image can lie, hence also the eight of EXIF.
 */
public data class Orientation(
    /** Clockwise: 0, 90, 180 or 270. */
    public val degrees: Int,
    /** Left and right are swapped after turning, as in a front camera's preview. */
    public val mirrored: Boolean = false,
) {
    init {
        expect(degrees in setOf(0, 90, 180, 270), { "degrees 0, 90, 180 or 270" }, { "$degrees" })
    }

    /** Width and height change places. */
    public val swapsSides: Boolean get() = degrees == 90 || degrees == 270

    /** The orientation that does this one, then [next]. */
    public fun then(next: Orientation): Orientation {
        // Mirrored, the next turn goes the other way round.
        val turn = if (mirrored) -next.degrees else next.degrees
        return Orientation((degrees + turn + 360) % 360, mirrored != next.mirrored)
    }

    public companion object {
        /** Nothing is to be done. */
        public val UPRIGHT: Orientation = Orientation(0)

        /**
         * What turns a camera's frame upright.
         *
         * @param sensorDegrees How far the frame must turn clockwise on a display that is not turned.
         * @param displayDegrees How far the display is turned, against the clock.
         * @param facing The front camera's frames are mirrored, as its preview is.
         */
        public fun ofCamera(
            sensorDegrees: Int,
            displayDegrees: Int,
            facing: Facing,
        ): Orientation =
            when (facing) {
                Facing.BACK -> Orientation((sensorDegrees - displayDegrees + 360) % 360)

                // Seen from its front, the display turns the other way round.
                Facing.FRONT -> Orientation((sensorDegrees + displayDegrees) % 360, mirrored = true)
            }

        /**
         * What turns an image with that EXIF tag 0x0112 upright; unknown values mean [UPRIGHT].
         *
         * @param tag 1..8 as in EXIF 2.3, section 4.6.4.
         */
        public fun ofExif(tag: Int): Orientation =
            when (tag) {
                2 -> Orientation(0, mirrored = true)
                3 -> Orientation(180)
                4 -> Orientation(180, mirrored = true)
                5 -> Orientation(90, mirrored = true)
                6 -> Orientation(90)
                7 -> Orientation(270, mirrored = true)
                8 -> Orientation(270)
                else -> UPRIGHT
            }
    }
}
