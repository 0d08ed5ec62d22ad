package org.kerasfastvit.demo.app

import android.Manifest
import android.app.Activity
import android.content.Context
import android.content.Intent
import android.content.pm.PackageManager
import android.graphics.Bitmap
import android.graphics.SurfaceTexture
import android.hardware.camera2.CameraManager
import android.hardware.display.DisplayManager
import android.net.Uri
import android.os.Bundle
import android.os.Handler
import android.os.Looper
import android.os.Parcelable
import android.view.TextureView
import android.view.ViewGroup
import org.kerasfastvit.demo.R
import org.kerasfastvit.demo.core.ModelState
import org.kerasfastvit.demo.core.Permission
import org.kerasfastvit.demo.core.ScreenEvent
import org.kerasfastvit.demo.core.ScreenState
import org.kerasfastvit.demo.core.Source
import org.kerasfastvit.demo.core.after

/** The camera's picture, or a picked one, and what the model sees in it. */
class MainActivity :
    Activity(),
    Inference.Listener,
    TextureView.SurfaceTextureListener,
    DisplayManager.DisplayListener {
    private lateinit var settings: SettingsStore
    private lateinit var session: Session
    private lateinit var camera: CameraController
    private lateinit var screen: ScreenView
    private lateinit var requests: Requests
    private val handler = Handler(Looper.getMainLooper())
    private val events = ArrayDeque<ScreenEvent>()
    private var following = false

    private val state get() = session.state
    private val displays get() = getSystemService(Context.DISPLAY_SERVICE) as DisplayManager
    private val mayUseCamera
        get() =
            checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED

    override fun onCreate(saved: Bundle?) {
        super.onCreate(saved)
        setContentView(R.layout.main)
        settings = SettingsStore(this)
        val kept = keptSession()
        session = kept ?: Session(applicationContext)
        session.inference.listener = this
        val view = findViewById(R.id.preview) as TextureView
        val manager = getSystemService(Context.CAMERA_SERVICE) as CameraManager
        camera = CameraController(manager, view, session.inference, handler, ::dispatch)
        screen = ScreenView(this, findViewById(R.id.root) as ViewGroup, ::dispatch)
        requests = Requests(this, session.inference, { state }, ::dispatch)
        screen.onWayOn = requests::goOn
        screen.onMenu = requests::menu
        view.surfaceTextureListener = this
        if (kept == null) begin(saved) else showKept()
    }

    /** The app is opened, or opened again after the system had ended it. */
    private fun begin(saved: Bundle?) {
        // Shown only together with the model, lest "no model" be read out.
        session.state = state.after(ScreenEvent.SettingsRead(settings.read()))
        dispatch(ScreenEvent.ModelAsked(settings.model))
        val picture =
            if (saved == null) sentPicture(intent)?.toString() else saved.getString(PICTURE)
        picture?.let { dispatch(ScreenEvent.PicturePicked(it)) }
        if (saved?.getBoolean(PAUSED) == true) dispatch(ScreenEvent.PauseToggled)
        if (!mayUseCamera) {
            // Asked once, and not for a picture; after that the message's button asks.
            if (saved == null && picture == null) {
                requests.askPermission()
            } else {
                dispatch(ScreenEvent.PermissionAnswered(Permission.REFUSED))
            }
        }
    }

    private fun showKept() {
        session.picture?.let(screen::showPicture)
        screen.show(state)
    }

    // Deprecated in API 23, of which CI compiles this, and no longer in later ones.
    @Suppress("DEPRECATION")
    private fun keptSession() = lastNonConfigurationInstance as? Session

    @Suppress("OVERRIDE_DEPRECATION")
    override fun onRetainNonConfigurationInstance(): Any = session

    override fun onStart() {
        super.onStart()
        // The user may come back from the system's settings.
        if (mayUseCamera) dispatch(ScreenEvent.PermissionAnswered(Permission.GRANTED))
        dispatch(ScreenEvent.Shown)
        displays.registerDisplayListener(this, handler)
        handler.post(showLatencies)
    }

    override fun onStop() {
        handler.removeCallbacks(showLatencies)
        displays.unregisterDisplayListener(this)
        dispatch(ScreenEvent.Hidden)
        super.onStop()
    }

    override fun onSaveInstanceState(saved: Bundle) {
        super.onSaveInstanceState(saved)
        (state.source as? Source.Picture)?.let { saved.putString(PICTURE, it.name) }
        saved.putBoolean(PAUSED, state.paused)
    }

    override fun onDestroy() {
        requests.close()
        if (!isChangingConfigurations) session.close()
        super.onDestroy()
    }

    override fun onNewIntent(intent: Intent) {
        super.onNewIntent(intent)
        sentPicture(intent)?.let { dispatch(ScreenEvent.PicturePicked(it.toString())) }
    }

    override fun onRequestPermissionsResult(
        request: Int,
        permissions: Array<String>,
        results: IntArray,
    ) = dispatch(ScreenEvent.PermissionAnswered(requests.permission(results)))

    override fun onActivityResult(
        request: Int,
        result: Int,
        data: Intent?,
    ) {
        if (result == RESULT_OK) data?.data?.let { requests.picked(request, it) }
    }

    override fun happened(event: ScreenEvent) = dispatch(event)

    override fun read(picture: Bitmap) {
        if (state.source !is Source.Picture) return
        session.picture = picture
        screen.showPicture(picture)
    }

    override fun refused(reason: String) = requests.showRefused(reason)

    /** Lets the state follow an event, then the app the state. One event after the other. */
    private fun dispatch(event: ScreenEvent) {
        events.addLast(event)
        if (following) return
        following = true
        try {
            while (events.isNotEmpty()) follow(events.removeFirst())
        } finally {
            following = false
        }
    }

    private fun follow(event: ScreenEvent) {
        val before = state
        session.state = before.after(event)
        if (state.settings != before.settings) settings.write(state.settings)
        if (state.model != before.model) followModel(state.model)
        followPicture(before)
        camera.follow(state)
        screen.show(state)
    }

    private fun followModel(model: ModelState) {
        if (model is ModelState.Loading) session.inference.load(model, state.settings)
        if (model is ModelState.Ready) settings.model = model.name
    }

    private fun followPicture(before: ScreenState) {
        val picture = state.source as? Source.Picture
        if (picture == null) {
            session.picture = null
            return
        }
        val another = picture != before.source
        val freshModel = state.model is ModelState.Ready && state.model != before.model
        if (!picture.failed && (another || freshModel)) {
            session.inference.classify(Uri.parse(picture.name))
        }
    }

    private fun sentPicture(intent: Intent): Uri? =
        if (intent.action == Intent.ACTION_SEND) {
            intent.getParcelableExtra<Parcelable>(Intent.EXTRA_STREAM) as? Uri
        } else {
            null
        }

    private val showLatencies =
        object : Runnable {
            override fun run() {
                session.inference.latencies(LatencyText(resources), screen::showLatencies)
                handler.postDelayed(this, LATENCY_INTERVAL)
            }
        }

    override fun onSurfaceTextureAvailable(
        texture: SurfaceTexture,
        width: Int,
        height: Int,
    ) = camera.surfaceAvailable(state)

    override fun onSurfaceTextureSizeChanged(
        texture: SurfaceTexture,
        width: Int,
        height: Int,
    ) = camera.fit()

    override fun onSurfaceTextureDestroyed(texture: SurfaceTexture): Boolean {
        camera.surfaceLost(state)
        return true
    }

    override fun onSurfaceTextureUpdated(texture: SurfaceTexture) = Unit

    /** From one landscape to the other, a display turns without another size or configuration. */
    override fun onDisplayChanged(display: Int) = camera.fit()

    override fun onDisplayAdded(display: Int) = Unit

    override fun onDisplayRemoved(display: Int) = Unit

    private companion object {
        const val PICTURE = "picture"
        const val PAUSED = "paused"

        /** Milliseconds: numbers that change faster cannot be read. */
        const val LATENCY_INTERVAL = 500L
    }
}
