@file:Suppress("UNUSED_PARAMETER", "unused")

package android.media

import java.io.InputStream

/** API 24: the constructor. */
class ExifInterface(
    inputStream: InputStream,
) {
    fun getAttributeInt(
        tag: String,
        defaultValue: Int,
    ): Int = throw UnsupportedOperationException("compile-only")

    companion object {
        const val TAG_ORIENTATION = "Orientation"
    }
}
