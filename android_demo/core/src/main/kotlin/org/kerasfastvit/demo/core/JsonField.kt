package org.kerasfastvit.demo.core

/**
 * A value of a JSON document that knows where it is, so that every refusal can say so.
 *
 * @property path Such as `input.mean[1]`.
 */
internal class JsonField(
    val path: String,
    private val value: Any?,
) {
    val isNull: Boolean get() = value == null

    /** The member of that name, which must be there. */
    fun member(name: String): JsonField =
        optional(name) ?: throw DescriptionException(inner(name), "a value", "nothing")

    /** The member of that name; null if it is missing. */
    fun optional(name: String): JsonField? {
        val members = value as? Map<*, *> ?: refuse("an object")
        return if (name in members) JsonField(inner(name), members[name]) else null
    }

    fun members(): Map<String, JsonField> {
        val members = value as? Map<*, *> ?: refuse("an object")
        return members.entries.associate { (name, value) ->
            name.toString() to JsonField(inner(name.toString()), value)
        }
    }

    fun elements(): List<JsonField> {
        val elements = value as? List<*> ?: refuse("an array")
        return elements.mapIndexed { i, element -> JsonField("$path[$i]", element) }
    }

    fun text(): String = value as? String ?: refuse("a text")

    /** A text that may be shown. */
    fun name(): String {
        val text = text()
        return if (isName(text)) text else refuse("one line of at most $LONGEST_NAME characters")
    }

    fun number(): Double {
        val number = (value as? Number)?.toDouble() ?: refuse("a number")
        return if (number.isInfinite()) refuse("a finite number") else number
    }

    fun wholeNumber(range: LongRange): Long {
        val number = value as? Long
        return if (number != null && number in range) number else refuse("a whole number in $range")
    }

    /** The value that the text stands for. */
    fun <T> oneOf(choices: Map<String, T>): T {
        val choice = value as? String
        if (choice == null || choice !in choices) refuse("one of ${choices.keys.joinToString()}")
        return choices.getValue(choice)
    }

    fun refuse(expected: String): Nothing {
        val received =
            when (value) {
                is Map<*, *> -> "an object"
                is List<*> -> "an array of ${value.size}"
                is String -> "'${value.take(LONGEST)}'"
                else -> "$value"
            }
        throw DescriptionException(path, expected, received)
    }

    private fun inner(name: String) = JsonReader.inner(path, name)

    private companion object {
        const val LONGEST = 60
    }
}
