package org.kerasfastvit.demo.core

import kotlin.math.floor
import kotlin.math.min
import kotlin.math.round

/**
 * Which size an image is resized to before which part of it is cut out, by the two rounding rules of
 * `keras_fastvit.load_image`, which are those of timm's evaluation transform.
 *
 * @param imageWidth Of the upright image, in pixels.
 * @param imageHeight Of the upright image, in pixels.
 * @param width Of the crop, in pixels.
 * @param height Of the crop, in pixels.
 * @param cropPct Share of the resized image that the crop keeps along its tighter side, in (0, 1].
 */
public class CropGeometry(
    imageWidth: Int,
    imageHeight: Int,
    width: Int,
    height: Int,
    cropPct: Double,
) {
    /** Width of the whole resized image, in pixels. */
    public val resizedWidth: Int

    /** Height of the whole resized image, in pixels. */
    public val resizedHeight: Int

    init {
        expect(
            min(imageWidth, imageHeight) > 0 && min(width, height) > 0,
            { "an image and a crop of at least 1x1 pixels" },
            { "${imageWidth}x$imageHeight and ${width}x$height" },
        )
        expect(cropPct > 0 && cropPct <= 1, { "0 < cropPct <= 1" }, { "cropPct=$cropPct" })
        val targetWidth = floor(width / cropPct).toInt()
        val targetHeight = floor(height / cropPct).toInt()
        if (targetWidth == targetHeight) {
            // Square: the short side takes the target's, the long side rounds down.
            val target = targetWidth.toLong()
            val portrait = imageWidth <= imageHeight
            resizedWidth =
                if (portrait) targetWidth else (target * imageWidth / imageHeight).toInt()
            resizedHeight =
                if (portrait) (target * imageHeight / imageWidth).toInt() else targetHeight
        } else {
            // Otherwise the image covers the target as tightly as it can, and both sides round.
            val ratio =
                min(imageHeight.toDouble() / targetHeight, imageWidth.toDouble() / targetWidth)
            resizedWidth = round(imageWidth / ratio).toInt()
            resizedHeight = round(imageHeight / ratio).toInt()
        }
    }

    /** First column of the crop in the resized image; a margin of 5 leaves 2 on the left. */
    public val left: Int = round((resizedWidth - width) / 2.0).toInt()

    /** First row of the crop in the resized image. */
    public val top: Int = round((resizedHeight - height) / 2.0).toInt()
}
