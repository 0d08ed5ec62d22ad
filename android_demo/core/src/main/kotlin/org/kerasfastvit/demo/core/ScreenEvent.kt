package org.kerasfastvit.demo.core

/** What happens: the user does something, or the system answers. */
public sealed interface ScreenEvent {
    /** The app came to the front. */
    public data object Shown : ScreenEvent

    /** The app left the front. */
    public data object Hidden : ScreenEvent

    /** Settings were read, at the start. */
    public data class SettingsRead(
        public val settings: Settings,
    ) : ScreenEvent

    /** The system says whether the camera may be used. */
    public data class PermissionAnswered(
        public val permission: Permission,
    ) : ScreenEvent

    /** The camera went into another state by itself or because the app had asked. */
    public data class CameraChanged(
        public val camera: CameraState,
        public val torchAvailable: Boolean = false,
    ) : ScreenEvent

    /** A frame of the camera did not fit what it says of itself, and was skipped. */
    public data object FrameUnreadable : ScreenEvent

    /** The user wants to try the camera again. */
    public data object CameraRetried : ScreenEvent

    /** The user wants the camera on the other side. */
    public data object CameraSwitched : ScreenEvent

    /** The user stops the camera's picture, or lets it go on. */
    public data object PauseToggled : ScreenEvent

    /** The user switches the torch. */
    public data object TorchToggled : ScreenEvent

    /** The user has picked a picture, or another app has sent one. */
    public data class PicturePicked(
        public val name: String,
    ) : ScreenEvent

    /** The picture could not be read. */
    public data class PictureUnreadable(
        public val name: String,
    ) : ScreenEvent

    /** The user wants the camera instead of a picture. */
    public data object CameraWanted : ScreenEvent

    /** The user, or the start of the app, asks for a model. */
    public data class ModelAsked(
        public val name: String,
    ) : ScreenEvent

    /**
     * A model has been loaded and has run.
     *
     * @property request Which one this answers: [ModelState.Loading.request].
     */
    public data class ModelLoaded(
        public val request: Int,
        public val description: ModelDescription,
        public val used: Accelerator,
    ) : ScreenEvent

    /**
     * A model could not be loaded, or failed while it ran.
     *
     * @property request The one by which it was, or was to be, loaded.
     * @property refusedBy What cannot run it; null if its file is at fault.
     */
    public data class ModelFailed(
        public val request: Int,
        public val reason: String,
        public val refusedBy: Accelerator? = null,
    ) : ScreenEvent

    /** The user asks for an accelerator. */
    public data class AcceleratorAsked(
        public val accelerator: Accelerator,
    ) : ScreenEvent

    /** The user asks for a number of threads. */
    public data class ThreadsAsked(
        public val threads: Int,
    ) : ScreenEvent

    /** The user asks for a number of results. */
    public data class ResultsAsked(
        public val count: Int,
    ) : ScreenEvent

    /** The user asks for a threshold. */
    public data class ThresholdAsked(
        public val threshold: Float,
    ) : ScreenEvent

    /**
     * An image has been classified.
     *
     * @property request The one by which the model was loaded: what another one saw is late.
     * @property source Of the image: a frame that was under way when a picture was picked is late.
     * @property results Best first.
     */
    public data class Classified(
        public val request: Int,
        public val source: Source,
        public val results: List<Result>,
    ) : ScreenEvent
}
