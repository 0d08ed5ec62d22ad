package org.kerasfastvit.demo.app

import android.Manifest
import android.app.Activity
import android.content.Context
import android.content.Intent
import android.content.pm.PackageManager
import android.graphics.SurfaceTexture
import android.hardware.camera2.CameraManager
import android.net.Uri
import android.os.Bundle
import android.os.Handler
import android.os.Looper
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
    TextureView.SurfaceTextureListener {
    private lateinit var settings: SettingsStore
    private lateinit var inference: Inference
    private lateinit var camera: CameraController
    private lateinit var screen: ScreenView
    private lateinit var requests: Requests
    private val handler = Handler(Looper.getMainLooper())
    private val events = ArrayDeque<ScreenEvent>()
    private var following = false
    private var state = ScreenState()

    override fun onCreate(saved: Bundle?) {
        super.onCreate(saved)
        setContentView(R.layout.main)
        settings = SettingsStore(this)
        inference = Inference(applicationContext, ::dispatch)
        val view = findViewById(R.id.preview) as TextureView
        val manager = getSystemService(Context.CAMERA_SERVICE) as CameraManager
        camera = CameraController(manager, view, inference, handler, ::dispatch)
        screen = ScreenView(this, findViewById(R.id.root) as ViewGroup, ::dispatch)
        requests = Requests(this, inference, ::dispatch)
        screen.onWayOn = requests::goOn
        screen.onMenu = { requests.menu(state) }
        view.surfaceTextureListener = this
        dispatch(ScreenEvent.SettingsRead(settings.read()))
        dispatch(ScreenEvent.ModelAsked(settings.model))
        if (checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED) {
            dispatch(ScreenEvent.PermissionAnswered(Permission.GRANTED))
        } else if (saved == null) {
            requests.askPermission()
        } else {
            dispatch(ScreenEvent.PermissionAnswered(Permission.REFUSED))
        }
        val picture = saved?.getString(PICTURE) ?: sentPicture(intent)?.toString()
        picture?.let { dispatch(ScreenEvent.PicturePicked(it)) }
        if (saved?.getBoolean(PAUSED) == true) dispatch(ScreenEvent.PauseToggled)
        handler.post(showLatencies)
    }

    override fun onStart() {
        super.onStart()
        // The user may come back from the system's settings.
        if (checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED) {
            dispatch(ScreenEvent.PermissionAnswered(Permission.GRANTED))
        }
        dispatch(ScreenEvent.Shown)
    }

    override fun onStop() {
        dispatch(ScreenEvent.Hidden)
        super.onStop()
    }

    override fun onSaveInstanceState(saved: Bundle) {
        super.onSaveInstanceState(saved)
        (state.source as? Source.Picture)?.let { saved.putString(PICTURE, it.name) }
        saved.putBoolean(PAUSED, state.paused)
    }

    override fun onDestroy() {
        handler.removeCallbacks(showLatencies)
        inference.close()
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
        state = before.after(event)
        if (state.settings != before.settings && event !is ScreenEvent.SettingsRead) {
            settings.write(state.settings)
        }
        val model = state.model
        if (model is ModelState.Loading && event !is ScreenEvent.Classified &&
            model !== before.model
        ) {
            inference.load(model.name, state.settings)
        }
        if (model is ModelState.Ready) settings.model = model.name
        val picture = state.source as? Source.Picture
        val freshModel = model is ModelState.Ready && before.model !is ModelState.Ready
        if (picture != null && !picture.failed && (picture != before.source || freshModel)) {
            inference.classify(Uri.parse(picture.name), screen::showPicture)
        }
        camera.follow(state)
        screen.show(state)
    }

    private fun sentPicture(intent: Intent): Uri? =
        if (intent.action == Intent.ACTION_SEND) {
            intent.getParcelableExtra(Intent.EXTRA_STREAM)
        } else {
            null
        }

    private val showLatencies =
        object : Runnable {
            override fun run() {
                inference.latencies(LatencyText(resources), screen::showLatencies)
                handler.postDelayed(this, LATENCY_INTERVAL)
            }
        }

    override fun onSurfaceTextureAvailable(
        texture: SurfaceTexture,
        width: Int,
        height: Int,
    ) = camera.follow(state)

    override fun onSurfaceTextureSizeChanged(
        texture: SurfaceTexture,
        width: Int,
        height: Int,
    ) = camera.fit()

    override fun onSurfaceTextureDestroyed(texture: SurfaceTexture): Boolean = true

    override fun onSurfaceTextureUpdated(texture: SurfaceTexture) = Unit

    private companion object {
        const val PICTURE = "picture"
        const val PAUSED = "paused"

        /** Milliseconds: numbers that change faster cannot be read. */
        const val LATENCY_INTERVAL = 500L
    }
}
