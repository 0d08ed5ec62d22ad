package org.kerasfastvit.demo.app

import org.kerasfastvit.demo.R
import org.kerasfastvit.demo.core.Message
import org.kerasfastvit.demo.core.WayOn

/** A message in the user's language. */
val Message.text: Int
    get() =
        when (this) {
            Message.PERMISSION_REFUSED -> R.string.permission_refused
            Message.PERMISSION_REFUSED_FOR_GOOD -> R.string.permission_refused_for_good
            Message.NO_CAMERA -> R.string.no_camera
            Message.CAMERA_TAKEN -> R.string.camera_taken
            Message.CAMERA_FAILED -> R.string.camera_failed
            Message.FRAME_UNREADABLE -> R.string.frame_unreadable
            Message.PICTURE_UNREADABLE -> R.string.picture_unreadable
            Message.NO_MODEL -> R.string.no_model
            Message.MODEL_UNUSABLE -> R.string.model_unusable
            Message.GPU_REFUSED -> R.string.gpu_refused
            Message.OTHER_ACCELERATOR -> R.string.other_accelerator
        }

/** What a message's button says. */
val WayOn.text: Int
    get() =
        when (this) {
            WayOn.ASK_PERMISSION -> R.string.ask_permission
            WayOn.OPEN_SYSTEM_SETTINGS -> R.string.open_system_settings
            WayOn.SWITCH_CAMERA -> R.string.switch_camera
            WayOn.RETRY_CAMERA -> R.string.retry_camera
            WayOn.PICK_PICTURE -> R.string.pick_picture
            WayOn.BACK_TO_CAMERA -> R.string.back_to_camera
            WayOn.CHOOSE_MODEL -> R.string.choose_model
            WayOn.MODEL_INFORMATION -> R.string.model_information
            WayOn.USE_CPU -> R.string.use_cpu
        }
