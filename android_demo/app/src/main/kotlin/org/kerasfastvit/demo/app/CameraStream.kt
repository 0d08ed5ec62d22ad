package org.kerasfastvit.demo.app

import android.annotation.SuppressLint
import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraCaptureSession
import android.hardware.camera2.CameraDevice
import android.hardware.camera2.CameraManager
import android.hardware.camera2.CaptureRequest
import android.os.Handler
import android.view.Surface
import org.kerasfastvit.demo.core.CameraState

/**
 * An open camera that fills [surfaces] until it is closed.
 *
 * Everything happens on [handler]'s thread, the calls of [changed] too. After [close] nothing more
 * is reported.
 */
class CameraStream(
    private val manager: CameraManager,
    private val choice: CameraChoice,
    private val surfaces: List<Surface>,
    private val handler: Handler,
    private val changed: (CameraState) -> Unit,
) : AutoCloseable {
    private var device: CameraDevice? = null
    private var session: CameraCaptureSession? = null
    private var torch = false
    private var closed = false

    /** Opens the camera; the app has the permission. */
    @SuppressLint("MissingPermission")
    fun open() =
        attempt {
            report(CameraState.OPENING)
            manager.openCamera(choice.id, DeviceCallback(), handler)
        }

    /** Switches the torch. */
    fun shine(on: Boolean) {
        torch = on
        repeatRequest()
    }

    override fun close() {
        closed = true
        session?.close()
        device?.close()
        session = null
        device = null
    }

    private fun repeatRequest() {
        attempt {
            val session = session ?: return
            val request = session.device.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW)
            surfaces.forEach(request::addTarget)
            if (torch) request.set(CaptureRequest.FLASH_MODE, CaptureRequest.FLASH_MODE_TORCH)
            session.setRepeatingRequest(request.build(), null, handler)
        }
    }

    private fun report(state: CameraState) {
        if (!closed) changed(state)
    }

    /** Another app, or a policy, may take the camera between any two calls. */
    private inline fun attempt(call: () -> Unit) {
        try {
            call()
        } catch (error: CameraAccessException) {
            report(
                when (error.reason) {
                    CameraAccessException.CAMERA_IN_USE,
                    CameraAccessException.MAX_CAMERAS_IN_USE,
                    -> CameraState.TAKEN

                    else -> CameraState.FAILED
                },
            )
        } catch (_: IllegalArgumentException) {
            // A surface or the camera itself has gone meanwhile.
            report(CameraState.FAILED)
        } catch (_: IllegalStateException) {
            report(CameraState.FAILED)
        } catch (_: SecurityException) {
            report(CameraState.FAILED)
        }
    }

    private inner class DeviceCallback : CameraDevice.StateCallback() {
        override fun onOpened(camera: CameraDevice) {
            if (closed) {
                camera.close()
                return
            }
            device = camera
            attempt { camera.createCaptureSession(surfaces, SessionCallback(), handler) }
        }

        override fun onDisconnected(camera: CameraDevice) {
            camera.close()
            report(CameraState.TAKEN)
        }

        override fun onError(
            camera: CameraDevice,
            error: Int,
        ) {
            camera.close()
            val taken = error == ERROR_CAMERA_IN_USE || error == ERROR_MAX_CAMERAS_IN_USE
            report(if (taken) CameraState.TAKEN else CameraState.FAILED)
        }
    }

    private inner class SessionCallback : CameraCaptureSession.StateCallback() {
        override fun onConfigured(configured: CameraCaptureSession) {
            if (closed) return
            session = configured
            repeatRequest()
            report(CameraState.STREAMING)
        }

        override fun onConfigureFailed(failed: CameraCaptureSession) = report(CameraState.FAILED)
    }
}
