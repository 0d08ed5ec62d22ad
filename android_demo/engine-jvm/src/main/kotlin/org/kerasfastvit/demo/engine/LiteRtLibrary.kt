package org.kerasfastvit.demo.engine

import com.sun.jna.Library
import com.sun.jna.Native
import com.sun.jna.Pointer
import com.sun.jna.ptr.PointerByReference
import org.kerasfastvit.demo.core.EngineException

/**
 * The functions of LiteRT's C library (2.3, `litert/c/`) that running a model takes.
 *
 * Handles are pointers, a status of 0 means success.
 */
@Suppress("FunctionName", "ktlint:standard:function-naming")
internal interface LiteRtLibrary : Library {
    fun LiteRtCreateEnvironment(
        count: Int,
        options: Pointer?,
        environment: PointerByReference,
    ): Int

    fun LiteRtCreateModelFromFile(
        environment: Pointer,
        path: String,
        model: PointerByReference,
    ): Int

    fun LiteRtCreateOptions(options: PointerByReference): Int

    fun LiteRtSetOptionsHardwareAccelerators(
        options: Pointer,
        accelerators: Int,
    ): Int

    fun LiteRtCreateCompiledModel(
        environment: Pointer,
        model: Pointer,
        options: Pointer,
        compiled: PointerByReference,
    ): Int

    fun LiteRtGetModelSubgraph(
        model: Pointer,
        index: Long,
        subgraph: PointerByReference,
    ): Int

    fun LiteRtGetSubgraphInput(
        subgraph: Pointer,
        index: Long,
        tensor: PointerByReference,
    ): Int

    fun LiteRtGetSubgraphOutput(
        subgraph: Pointer,
        index: Long,
        tensor: PointerByReference,
    ): Int

    fun LiteRtGetRankedTensorType(
        tensor: Pointer,
        type: Pointer,
    ): Int

    fun LiteRtGetCompiledModelInputBufferRequirements(
        compiled: Pointer,
        signature: Long,
        index: Long,
        requirements: PointerByReference,
    ): Int

    fun LiteRtGetCompiledModelOutputBufferRequirements(
        compiled: Pointer,
        signature: Long,
        index: Long,
        requirements: PointerByReference,
    ): Int

    fun LiteRtCreateManagedTensorBufferFromRequirements(
        environment: Pointer,
        type: Pointer,
        requirements: Pointer,
        buffer: PointerByReference,
    ): Int

    fun LiteRtGetTensorBufferPackedSize(
        buffer: Pointer,
        size: Pointer,
    ): Int

    fun LiteRtLockTensorBuffer(
        buffer: Pointer,
        address: PointerByReference,
        mode: Int,
    ): Int

    fun LiteRtUnlockTensorBuffer(buffer: Pointer): Int

    fun LiteRtRunCompiledModel(
        compiled: Pointer,
        signature: Long,
        inputCount: Long,
        inputs: Array<Pointer>,
        outputCount: Long,
        outputs: Array<Pointer>,
    ): Int

    fun LiteRtDestroyTensorBuffer(buffer: Pointer)

    fun LiteRtDestroyCompiledModel(compiled: Pointer)

    fun LiteRtDestroyOptions(options: Pointer)

    fun LiteRtDestroyModel(model: Pointer)

    fun LiteRtDestroyEnvironment(environment: Pointer)

    companion object {
        /** Accelerators are bits; the CPU's. */
        const val CPU = 1

        /** Modes of `LiteRtLockTensorBuffer`. */
        const val READ = 0
        const val WRITE = 1

        /** As found by JNA: in the folder that `jna.library.path` names. */
        val loaded: LiteRtLibrary by lazy { Native.load("LiteRt", LiteRtLibrary::class.java) }

        /** Throws unless a call that [did] something has succeeded. */
        fun check(
            did: String,
            status: Int,
        ) {
            if (status != 0) {
                throw EngineException("Expected LiteRT to $did. Received: status $status")
            }
        }

        /** The handle that a call gives that [did] something. */
        inline fun handle(
            did: String,
            call: (PointerByReference) -> Int,
        ): Pointer {
            val handle = PointerByReference()
            check(did, call(handle))
            return handle.value
        }
    }
}
