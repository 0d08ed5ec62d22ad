package org.kerasfastvit.demo.core

/**
 * A sidecar, or the description in a model file, cannot be used.
 *
 * @property field What is wrong, such as `input.mean[1]`; `the document` for the whole of it.
 */
public class DescriptionException(
    public val field: String,
    expected: String,
    received: String,
) : IllegalArgumentException("$field: expected $expected. Received: $received")
