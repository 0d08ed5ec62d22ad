package org.kerasfastvit.demo.engine

import com.sun.jna.Memory
import com.sun.jna.Pointer

/** The memory of one of a compiled model's tensors. */
internal class LiteRtTensor(
    private val library: LiteRtLibrary,
    environment: Pointer,
    tensor: Pointer,
    requirements: Pointer,
) : AutoCloseable {
    /** LiteRT's handle. */
    val buffer: Pointer

    /** In bytes. */
    val size: Int

    init {
        // `LiteRtRankedTensorType`, passed on unread: some 80 bytes.
        val type = Memory(TYPE_SIZE)
        LiteRtLibrary.check("tell a tensor's type", library.LiteRtGetRankedTensorType(tensor, type))
        buffer =
            LiteRtLibrary.handle("make a tensor's memory") {
                library.LiteRtCreateManagedTensorBufferFromRequirements(
                    environment,
                    type,
                    requirements,
                    it,
                )
            }
        val bytes = Memory(Long.SIZE_BYTES.toLong())
        val status = library.LiteRtGetTensorBufferPackedSize(buffer, bytes)
        LiteRtLibrary.check("tell a tensor's size", status)
        size = bytes.getLong(0).toInt()
    }

    /** Gives [use] the address of the memory. */
    inline fun <T> locked(
        mode: Int,
        use: (Pointer) -> T,
    ): T {
        val address =
            LiteRtLibrary.handle("lock a tensor's memory") {
                library.LiteRtLockTensorBuffer(buffer, it, mode)
            }
        try {
            return use(address)
        } finally {
            library.LiteRtUnlockTensorBuffer(buffer)
        }
    }

    override fun close() = library.LiteRtDestroyTensorBuffer(buffer)

    private companion object {
        const val TYPE_SIZE = 256L
    }
}
