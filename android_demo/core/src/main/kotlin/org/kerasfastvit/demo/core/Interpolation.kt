package org.kerasfastvit.demo.core

import kotlin.math.abs

/**
 * The filters of the sidecar's `input.interpolation`, as Pillow's `resize` defines them.
 *
 * @property support Half the width of the filter where nothing is scaled, in pixels.
 */
public enum class Interpolation(
    internal val support: Double,
) {
    /** The triangle: linear in both directions. */
    BILINEAR(1.0),

    /** Keys' cubic convolution with a = −0.5 (Keys 1981, equation 15). */
    BICUBIC(2.0),
    ;

    /** The filter's weight at a distance of [x] pixels. Pillow's order of operations, for its bits. */
    internal fun weight(x: Double): Double {
        val distance = abs(x)
        return when (this) {
            BILINEAR -> {
                if (distance < 1.0) 1.0 - distance else 0.0
            }

            BICUBIC -> {
                when {
                    distance < 1.0 -> {
                        ((A + 2.0) * distance - (A + 3.0)) * distance * distance + 1.0
                    }

                    distance < 2.0 -> {
                        (((distance - 5.0) * distance + 8.0) * distance - 4.0) * A
                    }

                    else -> {
                        0.0
                    }
                }
            }
        }
    }

    private companion object {
        const val A = -0.5
    }
}
