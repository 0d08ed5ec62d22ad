package org.kerasfastvit.demo.core

/** How many characters a name may have. */
internal const val LONGEST_NAME = 1000

private const val LONGEST_SHOWN = 200

/**
 * Whether a text can be shown as one line, and means there what it says: the rule of Python's
 * `plain_text.py`.
 *
 * Control characters and ends of lines are none, halves of characters neither, nor what turns the
 * direction of the text that follows.
 */
internal fun isName(text: String): Boolean =
    text.length <= 2 * LONGEST_NAME &&
        text.codePointCount(0, text.length) <= LONGEST_NAME &&
        codePoints(text).none(::isNoText)

/** A text in one line, its beginning if it is long: what no name may hold is escaped as in JSON. */
internal fun shown(text: String): String {
    val line = StringBuilder()
    for (sign in codePoints(text)) {
        if (line.length > LONGEST_SHOWN) return line.append('…').toString()
        // None of these is of more than 16 bits.
        if (isNoText(sign)) line.append("\\u%04x".format(sign)) else line.appendCodePoint(sign)
    }
    return line.toString()
}

private fun codePoints(text: String): Sequence<Int> =
    sequence {
        var at = 0
        while (at < text.length) {
            val sign = text.codePointAt(at)
            yield(sign)
            at += Character.charCount(sign)
        }
    }

private fun isNoText(sign: Int): Boolean =
    when (Character.getType(sign).toByte()) {
        Character.CONTROL, Character.SURROGATE -> true
        Character.LINE_SEPARATOR, Character.PARAGRAPH_SEPARATOR -> true
        else -> sign in 0x202A..0x202E || sign in 0x2066..0x2069
    }
