package org.kerasfastvit.demo.core

/**
 * Throws unless [holds]; the message names the thing, what was expected and what was received.
 *
 * Both texts are made only where it fails, so that a check of a frame allocates nothing.
 *
 * @throws IllegalArgumentException if it does not hold.
 */
internal inline fun expect(
    holds: Boolean,
    expected: () -> String,
    received: () -> String,
) {
    if (!holds) throw IllegalArgumentException("Expected ${expected()}. Received: ${received()}")
}
