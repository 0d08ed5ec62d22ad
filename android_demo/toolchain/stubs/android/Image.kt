@file:Suppress("unused")

package android.media

import java.nio.ByteBuffer

/** API 33: the data space. */
abstract class Image internal constructor() : AutoCloseable {
    abstract val width: Int
    abstract val height: Int
    abstract val timestamp: Long
    abstract val planes: Array<Plane>
    open val dataSpace: Int get() = throw UnsupportedOperationException("compile-only")

    abstract override fun close()

    abstract class Plane internal constructor() {
        abstract val rowStride: Int
        abstract val pixelStride: Int
        abstract val buffer: ByteBuffer
    }
}
