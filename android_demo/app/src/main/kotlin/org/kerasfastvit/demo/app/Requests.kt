package org.kerasfastvit.demo.app

import android.Manifest
import android.app.Activity
import android.app.AlertDialog
import android.app.Dialog
import android.content.ActivityNotFoundException
import android.content.Intent
import android.content.pm.PackageManager
import android.net.Uri
import android.provider.Settings
import org.kerasfastvit.demo.R
import org.kerasfastvit.demo.core.Accelerator
import org.kerasfastvit.demo.core.ModelState
import org.kerasfastvit.demo.core.Permission
import org.kerasfastvit.demo.core.ScreenEvent
import org.kerasfastvit.demo.core.ScreenState
import org.kerasfastvit.demo.core.WayOn

/** What the app asks of the user and the system: permission, pictures, models, settings. */
class Requests(
    private val activity: Activity,
    private val inference: Inference,
    private val state: () -> ScreenState,
    private val dispatch: (ScreenEvent) -> Unit,
) : AutoCloseable {
    private var dialog: Dialog? = null

    /** Goes on as the button of a message says. */
    fun goOn(way: WayOn) =
        when (way) {
            WayOn.ASK_PERMISSION -> askPermission()
            WayOn.OPEN_SYSTEM_SETTINGS -> openSystemSettings()
            WayOn.SWITCH_CAMERA -> dispatch(ScreenEvent.CameraSwitched)
            WayOn.RETRY_CAMERA -> dispatch(ScreenEvent.CameraRetried)
            WayOn.PICK_PICTURE -> pick("image/*", PICTURE)
            WayOn.BACK_TO_CAMERA -> dispatch(ScreenEvent.CameraWanted)
            WayOn.CHOOSE_MODEL -> chooseModel()
            WayOn.MODEL_INFORMATION -> showInformation()
            WayOn.USE_CPU -> dispatch(ScreenEvent.AcceleratorAsked(Accelerator.CPU))
        }

    fun askPermission() = activity.requestPermissions(arrayOf(Manifest.permission.CAMERA), CAMERA)

    /** What the answer to [askPermission] means. */
    fun permission(results: IntArray): Permission =
        when {
            results.firstOrNull() == PackageManager.PERMISSION_GRANTED -> {
                Permission.GRANTED
            }

            // No answer: the question was interrupted.
            results.isEmpty() -> {
                Permission.REFUSED
            }

            activity.shouldShowRequestPermissionRationale(Manifest.permission.CAMERA) -> {
                Permission.REFUSED
            }

            else -> {
                Permission.REFUSED_FOR_GOOD
            }
        }

    /** Takes what the user has picked. */
    fun picked(
        request: Int,
        uri: Uri,
    ) {
        when (request) {
            PICTURE -> dispatch(ScreenEvent.PicturePicked(uri.toString()))
            MODEL -> inference.import(uri)
        }
    }

    /** The app's menu. */
    fun menu() {
        val entries =
            listOf(
                R.string.pick_picture to { goOn(WayOn.PICK_PICTURE) },
                R.string.back_to_camera to { goOn(WayOn.BACK_TO_CAMERA) },
                R.string.choose_model to ::chooseModel,
                R.string.model_information to ::showInformation,
                R.string.settings to {
                    show(SettingsDialog(activity, dispatch).builder(state().settings))
                },
                R.string.benchmark to {
                    activity.startActivity(Intent(activity, BenchmarkActivity::class.java))
                },
            )
        val names = entries.map { (name, _) -> activity.getString(name) }.toTypedArray()
        show(AlertDialog.Builder(activity).setItems(names) { _, index -> entries[index].second() })
    }

    /** Says why a file was not imported. */
    fun showRefused(reason: String) =
        show(
            AlertDialog
                .Builder(activity)
                .setTitle(R.string.import_refused)
                .setMessage(reason)
                .setPositiveButton(R.string.choose_model) { _, _ -> chooseModel() }
                .setNegativeButton(android.R.string.cancel, null),
        )

    /** The activity is going: a dialog would be left without its window. */
    override fun close() {
        dialog?.dismiss()
    }

    private fun chooseModel() {
        val names = ModelStore(activity).names()
        val entries = names + activity.getString(R.string.import_model)
        show(
            AlertDialog
                .Builder(activity)
                .setTitle(R.string.choose_model)
                .setItems(entries.toTypedArray()) { _, index ->
                    if (index < names.size) {
                        dispatch(ScreenEvent.ModelAsked(names[index]))
                    } else {
                        pick("*/*", MODEL)
                    }
                },
        )
    }

    private fun showInformation() {
        val text =
            when (val model = state().model) {
                is ModelState.Ready -> ModelInformation(activity.resources).of(model)
                is ModelState.Failed -> "${model.name}: ${model.reason}"
                else -> activity.getString(R.string.no_model)
            }
        show(
            AlertDialog
                .Builder(activity)
                .setTitle(R.string.model_information)
                .setMessage(text)
                .setPositiveButton(android.R.string.ok, null),
        )
    }

    private fun show(builder: AlertDialog.Builder) {
        dialog?.dismiss()
        dialog = builder.show()
    }

    private fun pick(
        type: String,
        request: Int,
    ) = start(
        Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType(type),
        request,
    )

    private fun openSystemSettings() {
        val uri = Uri.fromParts("package", activity.packageName, null)
        start(Intent(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, uri), SYSTEM_SETTINGS)
    }

    private fun start(
        intent: Intent,
        request: Int,
    ) {
        try {
            activity.startActivityForResult(intent, request)
        } catch (_: ActivityNotFoundException) {
            show(AlertDialog.Builder(activity).setMessage(R.string.no_app_for_it))
        }
    }

    private companion object {
        const val CAMERA = 1
        const val PICTURE = 2
        const val MODEL = 3
        const val SYSTEM_SETTINGS = 4
    }
}
