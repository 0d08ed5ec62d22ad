package org.kerasfastvit.demo.core

/** Whether the app may use the camera. */
public enum class Permission { UNKNOWN, GRANTED, REFUSED, REFUSED_FOR_GOOD }

/** Which camera. */
public enum class Facing { BACK, FRONT }

/** What runs a model. */
public enum class Accelerator { CPU, GPU }

/** What the camera does. */
public enum class CameraState {
    CLOSED,
    OPENING,
    STREAMING,

    /** The device has none that faces this way. */
    MISSING,

    /** Another app has it. */
    TAKEN,

    /** It reported an error. */
    FAILED,
}

/** What has become of the model that was asked for. */
public sealed interface ModelState {
    /** None was asked for. */
    public data object None : ModelState

    /**
     * It is being read.
     *
     * @property request Number of the request, which the answer to it repeats.
     */
    public data class Loading(
        public val name: String,
        public val request: Int,
    ) : ModelState

    /**
     * It runs.
     *
     * @property used What really runs it, which may not be what was asked for.
     */
    public data class Ready(
        public val name: String,
        public val description: ModelDescription,
        public val used: Accelerator,
    ) : ModelState

    /**
     * It cannot be used.
     *
     * @property reason For the details; what went wrong in a developer's words.
     * @property refusedBy What cannot run it; null if its file is at fault.
     */
    public data class Failed(
        public val name: String,
        public val reason: String,
        public val refusedBy: Accelerator?,
    ) : ModelState
}

/** Where the images come from. */
public sealed interface Source {
    /** The camera, frame by frame. */
    public data object Camera : Source

    /**
     * One picture.
     *
     * @property failed It could not be read.
     */
    public data class Picture(
        public val name: String,
        public val failed: Boolean = false,
    ) : Source
}

/**
 * One line of the list of results.
 *
 * @property score A probability 0..1 of a model whose scores are probabilities.
 */
public data class Result(
    public val label: Int,
    public val name: String,
    public val score: Float,
)

/**
 * What the user has chosen, which survives the process.
 *
 * @property accelerator Asked for; what is used stands in [ModelState.Ready].
 * @property threads Of the CPU, 1..[MOST_THREADS].
 * @property results How many lines, 1..[MOST_RESULTS].
 * @property threshold Scores below are not shown, 0..1.
 */
public data class Settings(
    public val facing: Facing = Facing.BACK,
    public val accelerator: Accelerator = Accelerator.CPU,
    public val threads: Int = 2,
    public val results: Int = 3,
    public val threshold: Float = 0f,
) {
    /** The same, with every number brought into its range: they come from outside. */
    public fun inRange(): Settings =
        copy(
            threads = threads.coerceIn(1, MOST_THREADS),
            results = results.coerceIn(1, MOST_RESULTS),
            threshold = if (threshold.isNaN()) 0f else threshold.coerceIn(0f, 1f),
        )

    public companion object {
        /** More are no faster on any phone. */
        public const val MOST_THREADS: Int = 8

        /** What fits on a screen. */
        public const val MOST_RESULTS: Int = 10
    }
}

/** Everything that the screen shows, and all that decides what the app does. */
public data class ScreenState(
    public val permission: Permission = Permission.UNKNOWN,
    public val camera: CameraState = CameraState.CLOSED,
    /** The app is in front; where it is not, the camera belongs to others. */
    public val visible: Boolean = false,
    /** The user has stopped the camera's picture. */
    public val paused: Boolean = false,
    public val torch: Boolean = false,
    /** This camera has a torch. */
    public val torchAvailable: Boolean = false,
    public val source: Source = Source.Camera,
    public val model: ModelState = ModelState.None,
    /** How often a model was asked for. Answers to any but the last request come too late. */
    public val request: Int = 0,
    /** The camera's last frame could not be read. */
    public val frameUnreadable: Boolean = false,
    public val settings: Settings = Settings(),
    public val results: List<Result> = emptyList(),
) {
    /** The camera should be open; the app opens and closes it until [camera] agrees. */
    public val wantsCamera: Boolean
        get() =
            visible && source == Source.Camera && permission == Permission.GRANTED && !paused &&
                camera !in STUCK

    /** The torch should shine. */
    public val wantsTorch: Boolean
        get() = torch && torchAvailable && camera == CameraState.STREAMING

    /** What really runs the model; null as long as nothing does. */
    public val accelerator: Accelerator? get() = (model as? ModelState.Ready)?.used

    /** What to tell the user: the first that is in the way, or null. */
    public val message: Message?
        get() = modelMessage() ?: sourceMessage() ?: fallbackMessage()

    private fun modelMessage(): Message? =
        when (val model = model) {
            is ModelState.Failed -> {
                if (model.refusedBy == Accelerator.GPU) {
                    Message.GPU_REFUSED
                } else {
                    Message.MODEL_UNUSABLE
                }
            }

            ModelState.None -> {
                Message.NO_MODEL
            }

            else -> {
                null
            }
        }

    private fun sourceMessage(): Message? {
        val source = source
        if (source is Source.Picture) {
            return if (source.failed) Message.PICTURE_UNREADABLE else null
        }
        return when {
            permission == Permission.REFUSED -> Message.PERMISSION_REFUSED
            permission == Permission.REFUSED_FOR_GOOD -> Message.PERMISSION_REFUSED_FOR_GOOD
            camera == CameraState.MISSING -> Message.NO_CAMERA
            camera == CameraState.TAKEN -> Message.CAMERA_TAKEN
            camera == CameraState.FAILED -> Message.CAMERA_FAILED
            frameUnreadable -> Message.FRAME_UNREADABLE
            else -> null
        }
    }

    private fun fallbackMessage(): Message? {
        val used = accelerator
        return if (used == null || used == settings.accelerator) null else Message.OTHER_ACCELERATOR
    }

    internal companion object {
        /** Opening it again helps only when the user, or the other app, has done something. */
        val STUCK = setOf(CameraState.MISSING, CameraState.TAKEN, CameraState.FAILED)
    }
}
