package org.kerasfastvit.demo.core

/**
 * From a camera frame or a picture to the model's input, as the sidecar says.
 *
 *     YUV → upright RGB → resize with antialiasing, crop → tables → input
 *
 * The values are those of `keras_fastvit.load_image` and `keras_fastvit.conversion.tflite.preparation` on the same
 * pixels, to the bit. It holds its memory: as long as frames keep their size, nothing is allocated.
 * One thread at a time.
 */
public class FramePreprocessor(
    description: InputDescription,
) {
    /** What the model is to be run on. */
    public val input: ModelInput = ModelInput.of(description)

    private val resizer =
        CropResizer(
            description.width,
            description.height,
            description.cropPct,
            description.interpolation,
        )
    private val converter = YuvToRgb()
    private val part = Region()
    private val upright = RgbImage()

    /** What the model sees, before normalisation: `height × width` pixels. */
    public val crop: RgbImage = RgbImage()

    /** Fills [input] from a camera frame. Only the part that the crop shows is converted. */
    public fun prepare(
        frame: YuvFrame,
        orientation: Orientation,
    ) {
        val swaps = orientation.swapsSides
        resizer.prepare(
            if (swaps) frame.height else frame.width,
            if (swaps) frame.width else frame.height,
        )
        part.setBeforeTurning(resizer.needed, orientation, frame.width, frame.height)
        converter.convert(frame, orientation, part, upright)
        resizer.resize(upright.bytes, 0, 3 * upright.width, crop)
        input.fill(crop)
    }

    /** Fills [input] from an upright picture. */
    public fun prepare(picture: RgbImage) {
        resizer.prepare(picture.width, picture.height)
        val needed = resizer.needed
        val start = 3 * (needed.top * picture.width + needed.left)
        resizer.resize(picture.bytes, start, 3 * picture.width, crop)
        input.fill(crop)
    }
}
