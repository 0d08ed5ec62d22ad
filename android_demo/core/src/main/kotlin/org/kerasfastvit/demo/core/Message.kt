package org.kerasfastvit.demo.core

/** What the user can do about a [Message]. */
public enum class WayOn {
    ASK_PERMISSION,
    OPEN_SYSTEM_SETTINGS,
    SWITCH_CAMERA,
    RETRY_CAMERA,
    PICK_PICTURE,
    BACK_TO_CAMERA,
    CHOOSE_MODEL,
    MODEL_INFORMATION,
    USE_CPU,
}

/**
 * What is in the way; the app has a text for each, in each language.
 *
 * @property waysOn Buttons below it. Never empty where the app cannot go on by itself.
 */
public enum class Message(
    public vararg val waysOn: WayOn,
) {
    PERMISSION_REFUSED(WayOn.ASK_PERMISSION, WayOn.PICK_PICTURE),
    PERMISSION_REFUSED_FOR_GOOD(WayOn.OPEN_SYSTEM_SETTINGS, WayOn.PICK_PICTURE),
    NO_CAMERA(WayOn.SWITCH_CAMERA, WayOn.PICK_PICTURE),
    CAMERA_TAKEN(WayOn.RETRY_CAMERA, WayOn.PICK_PICTURE),
    CAMERA_FAILED(WayOn.RETRY_CAMERA, WayOn.PICK_PICTURE),
    FRAME_UNREADABLE(WayOn.SWITCH_CAMERA, WayOn.PICK_PICTURE),
    PICTURE_UNREADABLE(WayOn.PICK_PICTURE, WayOn.BACK_TO_CAMERA),
    NO_MODEL(WayOn.CHOOSE_MODEL),
    MODEL_UNUSABLE(WayOn.CHOOSE_MODEL, WayOn.MODEL_INFORMATION),
    GPU_REFUSED(WayOn.USE_CPU, WayOn.CHOOSE_MODEL, WayOn.MODEL_INFORMATION),

    /** The model runs, but on something else than what was asked for. */
    OTHER_ACCELERATOR(WayOn.USE_CPU),
}
