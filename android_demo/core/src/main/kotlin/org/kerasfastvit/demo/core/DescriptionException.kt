package org.kerasfastvit.demo.core

/**
 * A sidecar, or the description in a model file, cannot be used.
 *
 * Its message is one line of plain text, whatever was received.
 *
 * @property field What is wrong, such as `input.mean[1]`; `the document` for the whole of it.
 */
public class DescriptionException private constructor(
    public val field: String,
    message: String,
) : IllegalArgumentException(message) {
    public constructor(
        field: String,
        expected: String,
        received: String,
    ) : this(
        shown(field),
        "${shown(field)}: expected ${shown(expected)}. Received: ${shown(received)}",
    )
}
